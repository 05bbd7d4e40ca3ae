"""Alternatives for the same work: from a video to one PNG of class ids per frame.

Weights do not affect speed, so the other networks are used as their packages build them, without a
download.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model import load_weights
from icstream.pipeline.diagnostics.naive import segment_naively

_FRAMES, _WARM_UP = 12, 2
_THREADS = 2


@dataclass(frozen=True, slots=True)
class Peer:
    """An alternative for the work."""

    label: str
    needs: tuple[str, ...]
    """The packages that it needs."""
    time: Callable[[Path, Path], float]
    """The function from the video and a folder to the seconds per frame."""

    def is_installed(self) -> bool:
        """Return whether its packages are installed."""
        return all(importlib.util.find_spec(name) for name in self.needs)


def naive(video: Path, folder: Path) -> float:
    """Time a simple script with ICNet in eager PyTorch."""
    return segment_naively(
        load_weights("camvid"), video, folder, num_frames=_FRAMES, threads=_THREADS
    )


def lraspp(video: Path, folder: Path) -> float:
    """Time the fastest segmentation network of torchvision, with OpenCV for input and output."""
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    torch.set_num_threads(_THREADS)
    model = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=11).eval()
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    @torch.inference_mode()
    def segment(bgr: NDArray[np.uint8]) -> NDArray[Any]:
        rgb = torch.from_numpy(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).permute(2, 0, 1) / 255
        return np.asarray(model(((rgb - mean) / std)[None])["out"][0].numpy().argmax(0), np.uint8)

    return _timed(segment(bgr) for bgr in _frames(video))(folder)


def ultralytics(video: Path, folder: Path) -> float:
    """Time YOLO11n-seg by its own `predict`, with instances painted into one image."""
    from ultralytics import YOLO

    torch.set_num_threads(_THREADS)
    results = YOLO("yolo11n-seg.yaml").predict(
        str(video), stream=True, imgsz=960, verbose=False, retina_masks=True
    )

    def ids() -> Iterator[NDArray[Any]]:
        for result in results:
            image = np.zeros(result.orig_shape, np.uint8)
            if result.masks is not None:
                for mask, kind in zip(result.masks.data, result.boxes.cls, strict=True):
                    image[mask.numpy() > 0] = int(kind) + 1
            yield image

    return _timed(ids())(folder)


def _frames(video: Path) -> Iterator[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(video))
    while True:
        success, bgr = capture.read()
        if not success:
            return
        yield np.asarray(bgr, np.uint8)


def _timed(images: Iterator[NDArray[Any]]) -> Callable[[Path], float]:
    def run(folder: Path) -> float:
        start = time.perf_counter()
        for index, ids in enumerate(images):
            cv2.imwrite(str(folder / f"{index:06}.png"), ids)
            if index == _WARM_UP - 1:
                start = time.perf_counter()
            if index == _WARM_UP + _FRAMES - 1:
                break
        return (time.perf_counter() - start) / _FRAMES

    return run


PEERS = (
    Peer("script, ICNet in eager PyTorch", (), naive),
    Peer("script, torchvision LR-ASPP MobileNetV3", ("torchvision",), lraspp),
    Peer("Ultralytics predict, YOLO11n-seg", ("ultralytics",), ultralytics),
)
