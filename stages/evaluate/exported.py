"""Measurement of the agreement of an exported graph with its network, on images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import Checkpoint, ConfigError, Scores, Segmenter, prepare_input
from icstream.model.export.export import Run
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.items import Frame
from icstream.stages.streets import Street

NEAR = 1e-3
"""The largest difference of two classes that are a near tie, as a share of the largest score."""
MIN_SHARE = 0.9999
"""The share of pixels that must be equal or near ties, unless values are quantized."""
_NUM_FRAMES = 8
_SECONDS_APART = 3.0
_FRAMES_APART = 25
_FIRST_SEED = 30_000
"""The first seed of streets that were never used for training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportAgreement:
    """The agreement of the exported graph's pixels with those of PyTorch in fp32."""

    frames: str
    """A description of the images that were compared."""
    num_frames: int
    """The number of images that were compared."""
    num_pixels: int
    """The number of pixels that were compared."""
    equal: int
    """The number of pixels with the same class."""
    near_ties: int
    """The number of pixels with another class, whose score is within `NEAR` of the best."""

    @property
    def share(self) -> float:
        """The share of pixels that are equal or near ties, 0 to 1."""
        return (self.equal + self.near_ties) / self.num_pixels

    def values(self) -> dict[str, Any]:
        """Return the agreement as plain JSON values."""
        return {
            "frames": self.frames,
            "num_frames": self.num_frames,
            "pixels": self.num_pixels,
            "equal": self.equal,
            "near_ties": self.near_ties,
            "other": self.num_pixels - self.equal - self.near_ties,
            "near": f"scores within {NEAR} of the largest score",
        }

    def line(self) -> str:
        """Return the agreement as one line of text."""
        other = self.num_pixels - self.equal - self.near_ties
        return (
            f"against PyTorch in fp32 on {self.num_frames} frames of {self.frames}:"
            f" {100 * self.equal / self.num_pixels:.4f} % of {self.num_pixels} pixels equal;"
            f" {self.near_ties} near ties, {other} others"
        )


def check_export(
    checkpoint: Checkpoint,
    run: Run,
    images: Iterable[NDArray[np.uint8]],
    *,
    batch: int,
    frames: str,
) -> ExportAgreement:
    """Return the agreement of an exported graph's masks with those of PyTorch, by pixel.

    Args:
        checkpoint: The exported checkpoint.
        run: The exported graph, of either form.
        images: The (H, W, 3) RGB images of the graph's size, each of which fills a batch.
        batch: The number of images in each call of the graph.
        frames: A description of the images.

    Raises:
        ConfigError: There are no images.
    """
    reference = Segmenter(checkpoint, runtime="torch", device="cpu", precision="fp32")
    equal = near_ties = num_pixels = num_frames = 0
    for image_HW3 in images:
        geometry = reference.fit.geometry((image_HW3.shape[0], image_HW3.shape[1]))
        input_hw3 = prepare_input(image_HW3, geometry, reference.mean_color)
        scores = reference.scores(input_hw3, geometry)
        wanted_HW = scores.class_ids()
        # All images of a batch are equal, so the last one is compared.
        output = run(np.repeat(image_HW3[None], batch, axis=0))[-1]
        got_HW = output if output.ndim == 2 else Scores(output, geometry).class_ids()
        y, x = np.nonzero(got_HW != wanted_HW)
        values_Kn = _values_at(scores, y, x)
        pixels = np.arange(len(y))
        behind = values_Kn[wanted_HW[y, x], pixels] - values_Kn[got_HW[y, x], pixels]
        near_ties += int((behind <= NEAR * np.abs(scores.values_Khw).max()).sum())
        equal += wanted_HW.size - len(y)
        num_pixels += wanted_HW.size
        num_frames += 1
    if not num_frames:
        raise ConfigError(f"{frames}: no image to check the export with")
    return ExportAgreement(
        frames=frames,
        num_frames=num_frames,
        num_pixels=num_pixels,
        equal=equal,
        near_ties=near_ties,
    )


def rendered_images(size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yield rendered streets of (height, width)."""
    for number in range(_NUM_FRAMES):
        yield Street(_FIRST_SEED + number, size=size).render(_SECONDS_APART * number)[0]


def recorded_images(source: str, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yield images of a recording or a folder, some frames apart, resized if necessary.

    Raises:
        ConfigError: The source is not one recording or folder of images.
        SourceError: The source cannot be read.
    """
    specs = find_sources([source])
    if len(specs) != 1 or specs[0].kind not in ("video", "images"):
        raise ConfigError(f"{source}: one recording or one folder of images is needed")
    step = _FRAMES_APART if specs[0].kind == "video" else 1
    with open_source(specs[0], accounting=FrameAccounting()) as opened:
        images = (item.image for item in opened if isinstance(item, Frame))
        for image_HW3 in islice(images, 0, _NUM_FRAMES * step, step):
            if image_HW3 is None:
                continue
            if image_HW3.shape[:2] != size:
                resized = cv2.resize(image_HW3, (size[1], size[0]), interpolation=cv2.INTER_AREA)
                image_HW3 = np.asarray(resized, np.uint8)
            yield image_HW3


def _values_at(scores: Scores, y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the (K, n) scores at n pixels."""
    rows, columns = scores.geometry.axes()
    i, j, fy, fx = rows.nodes[y], columns.nodes[x], rows.fractions[y], columns.fractions[x]
    values = scores.values_Khw
    top = values[:, i, j] * (1 - fx) + values[:, i, j + 1] * fx
    bottom = values[:, i + 1, j] * (1 - fx) + values[:, i + 1, j + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)
