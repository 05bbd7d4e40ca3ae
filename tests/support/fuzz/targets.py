"""All readers of bytes from outside, with intact samples and checks for damaged ones.

A target returns if it could read the data, or if it refused it with the documented error. Any other
exception is a bug in icstream.
"""

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from icstream.model import (
    CAMVID,
    Checkpoint,
    ConfigError,
    ICNet,
    ICNetConfig,
    SourceError,
    load_weights,
)
from icstream.model.errors import SampleError
from icstream.model.foreign.conversion import convert
from icstream.pipeline.settings.annotate import load_annotate_config
from icstream.pipeline.settings.run import load_config
from icstream.pipeline.settings.serve import load_serve_config
from icstream.pipeline.settings.train import load_train_config
from icstream.pipeline.wire.headers import FROM_HUB, FROM_WORKER, write
from icstream.pipeline.wire.messages import (
    BeginEncode,
    Done,
    Heartbeat,
    Pixels,
    StageSpan,
    WireError,
)
from icstream.stages import Frame, FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.image_files import displayed_size, read_ids, unpack_image
from icstream.stages.input_files import parse_json
from icstream.stages.supervisely.annotation import Annotation, Overview
from icstream.stages.supervisely.classes import read_classes
from icstream.stages.supervisely.video import check_video_annotation
from support.caffe_files import blob, layer
from support.clips import make_clip, moving_image
from support.projects import bitmap, outline, packed, thing

_PIXELS_OF_CLIPS = (64, 96)
_CLIPS = {
    "mp4": ("libx264", "yuv420p"),
    "hevc.mp4": ("libx265", "yuv420p"),
    "mov": ("mpeg4", "yuv420p"),
    "ts": ("libx264", "yuv420p"),
    "flv": ("libx264", "yuv420p"),
    "webm": ("libvpx-vp9", "yuv420p"),
    "mkv": ("ffv1", "yuv420p"),
    "avi": ("mjpeg", "yuvj420p"),
}
_IMAGES = ("jpeg", "png", "webp", "tiff", "bmp", "gif", "avif")


@dataclass(frozen=True, slots=True)
class Target:
    """One reader of bytes."""

    name: str
    seeds: Callable[[], list[bytes]]
    """The function that returns intact samples."""
    run: Callable[[bytes], None]
    by_library: bool = False
    """Whether C libraries do the reading, so that a bug may end the process."""


@contextmanager
def _file(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="icstream-fuzz-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


@lru_cache
def _clip(suffix: str) -> list[bytes]:
    codec, pix_fmt = _CLIPS[suffix]
    times = [40 * n for n in range(10)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip.{suffix}"
        options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        make_clip(
            path,
            pts=times,
            time_base=Fraction(1, 1000),
            size=_PIXELS_OF_CLIPS,
            codec=codec,
            pix_fmt=pix_fmt,
            options=options,
        )
        return [path.read_bytes()]


def _read_recording(suffix: str, data: bytes) -> None:
    with _file(data, f"clip.{suffix}") as path:
        (spec,) = find_sources([str(path)])
        accounting, frames = FrameAccounting(), 0
        with suppress(SourceError), open_source(spec, accounting=accounting) as source:
            for item in source:
                frames += isinstance(item, Frame)
        faults = accounting.faults()
        if faults or frames != accounting.decoded:
            raise AssertionError(f"{frames} frames came; {accounting} {faults}")


@lru_cache
def _image(kind: str) -> list[bytes]:
    stream = io.BytesIO()
    Image.fromarray(moving_image(0, (48, 64))).save(stream, kind)
    return [stream.getvalue()]


def _read_image(data: bytes) -> None:
    with suppress(SampleError):
        displayed_size(data)
    for decoder in ("pillow", "opencv"):
        with suppress(SampleError):
            unpack_image(data, decoder=decoder)
    with _file(data, "ids.png") as path, suppress(SampleError):
        read_ids(path)


@lru_cache
def _checkpoint() -> list[bytes]:
    config = ICNetConfig(num_classes=len(CAMVID), width=1 / 16)
    weights = Checkpoint.of(ICNet(config), CAMVID, training={})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        weights.save(path)
        return [path.read_bytes()]


def _read_checkpoint(data: bytes) -> None:
    with _file(data, "weights.safetensors") as path, suppress(ConfigError):
        load_weights(str(path))


def _state_dict() -> list[bytes]:
    stream = io.BytesIO()
    torch.save({"state_dict": {"conv1.weight": torch.ones(2, 3)}, "epoch": 3}, stream)
    old = io.BytesIO()
    torch.save({"conv1.weight": torch.ones(2, 3)}, old, _use_new_zipfile_serialization=False)
    return [stream.getvalue(), old.getvalue()]


def _caffemodel() -> list[bytes]:
    blobs = [blob(np.ones((2, 3, 1, 1), np.float32)), blob(np.zeros(2, np.float32))]
    return [layer("conv1", blobs), layer("conv1", blobs, form="v1")]


def _convert(name: str, data: bytes) -> None:
    with _file(data, name) as path, suppress(ConfigError):
        convert(path)


def _annotation() -> list[bytes]:
    mask = np.zeros((5, 7, 4), np.uint8)
    mask[1:3, 2:5] = 255
    objects = [
        thing("road", bitmap((1, 2), packed(mask)), "bitmap"),
        thing("road", outline([[0, 0], [5, 0], [5, 5]], [[[1, 1], [2, 1], [2, 2]]]), "polygon"),
        thing("road", outline([[0, 0], [5, 5]]), "rectangle"),
        thing("road", outline([[0, 0], [5, 5], [3, 1]]), "line"),
        thing("road", outline([[3, 3]]), "point"),
    ]
    values = {"description": "", "tags": [{"name": "train", "value": None}], "objects": objects}
    return [json.dumps(values | {"size": {"height": 48, "width": 64}}).encode()]


def _read_annotation(data: bytes) -> None:
    with suppress(SampleError):
        parse_json(data, Overview).tag_names()
    with suppress(SampleError):
        annotation = parse_json(data, Annotation)
        canvas = np.zeros((48, 64), np.uint8)
        for entry in annotation.objects:
            with suppress(SampleError):
                entry.geometry("any").paint(canvas, 1)


def _meta() -> list[bytes]:
    classes = [{"title": "road", "shape": "bitmap", "color": "#804080", "id": 3}]
    values = {"classes": classes, "tags": [], "projectType": "images"}
    return [json.dumps(values).encode()]


def _read_meta(data: bytes) -> None:
    with suppress(ConfigError, SampleError):
        read_classes(data, neutral="neutral", class_ids=None)
    with suppress(SampleError):
        check_video_annotation(parse_json(data, dict[str, Any]))


def _yaml(values: object) -> list[bytes]:
    return [yaml.safe_dump(values).encode()]


def _settings(load: Callable[[str], object], data: bytes) -> None:
    with _file(data, "settings.yaml") as path, suppress(ConfigError):
        load(str(path))


def _messages() -> list[bytes]:
    pixels = Pixels("scores", "float32", (11, 69, 121), 64)
    sound = [Heartbeat(1, 2, 0.5), BeginEncode([], None)]
    done = Done("drive", 7, None, (pixels,), StageSpan(1, 2))  # type: ignore[arg-type]
    return [write(41, message) for message in (*sound, done)]


def _read_message(data: bytes) -> None:
    for reader in (FROM_WORKER, FROM_HUB):
        with suppress(WireError):
            reader.read(data)


_RUN = {
    "model": {"weights": "streets", "precision": "fp32"},
    "output": {"sinks": ["masks"], "events": {"rules": [{"name": "x", "classes": ["Car"]}]}},
    "streams": [{"source": "rtsp://127.0.0.1/x", "name": "gate", "live": {"max_fps": 5}}],
}
_TRAIN = {
    "epochs": 2,
    "lr": 0.01,
    "input_size": {"width": 65, "height": 65},
    "batch_size": {"train": 2, "val": 2},
}

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *(
            Target(
                f"recording-{suffix}",
                partial(_clip, suffix),
                partial(_read_recording, suffix),
                by_library=True,
            )
            for suffix in _CLIPS
        ),
        *(
            Target(
                f"image-{kind}",
                partial(_image, kind),
                _read_image,
                by_library=True,
            )
            for kind in _IMAGES
        ),
        Target("checkpoint", _checkpoint, _read_checkpoint),
        Target("state-dict", _state_dict, partial(_convert, "weights.pth")),
        Target("caffemodel", _caffemodel, partial(_convert, "weights.caffemodel")),
        Target("annotation", _annotation, _read_annotation),
        Target("meta", _meta, _read_meta),
        Target(
            "run-settings",
            lambda: _yaml(_RUN),
            partial(_settings, lambda f: load_config(f, (), {})),
        ),
        Target("train-settings", lambda: _yaml(_TRAIN), partial(_settings, load_train_config)),
        Target(
            "serve-settings",
            lambda: _yaml({"port": 8000}),
            partial(_settings, lambda f: load_serve_config(f, (), {})),
        ),
        Target(
            "annotate-settings",
            lambda: _yaml({"mode": {"source": "full_image"}}),
            partial(_settings, load_annotate_config),
        ),
        Target("message", _messages, _read_message),
    )
}
"""All targets by name. The HTTP service and pushed frames have separate tests over sockets."""
