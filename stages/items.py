"""What travels through a stream: frames, and the events between them.

A stream is a sequence of `Frame`, `Gap` and `FormatChange`, closed by one `End`. All are frozen;
arrays inside them are shared, not copied, and whoever receives one must not write into it.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from icstream.model import Geometry, Scores

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""


def size_change(old: Size, new: Size) -> str:
    """Return the reason of a `FormatChange` from one size to another, width before height."""
    return f"size {old[1]}x{old[0]} -> {new[1]}x{new[0]}"


@dataclass(frozen=True, slots=True)
class FrameMeta:
    """Which frame of which stream, and when."""

    stream: str
    """Name of the stream, unique within a run."""
    index: int
    """Position among the decoded frames of the stream, in presentation order, from 0."""
    pts: int | None
    """Presentation time in units of `time_base`; None where the source has no usable clock."""
    time_base: Fraction
    """Seconds per unit of `pts`; where `pts` is None, seconds per frame (nominal)."""
    size: Size
    """Height and width as displayed: cropped and rotated."""
    name: str | None = None
    """Of the image file that the frame came from, without suffix, unique; None in a video."""

    @property
    def time(self) -> Fraction | None:
        """The exact instant in seconds, `pts * time_base`; None without a clock."""
        return None if self.pts is None else self.pts * self.time_base


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A frame as the network wants it."""

    rgb_hw3: NDArray[np.uint8]
    """(h, w, 3) RGB, both sides 32k+1; planar, so that the network can read it where it lies."""
    geometry: Geometry
    """How the frame lies in it."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassIds:
    """The finished mask of a frame."""

    ids: NDArray[np.uint8]
    """(H, W) class ids, of the frame's displayed size."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a stream on its way from decoder to mask."""

    meta: FrameMeta
    image: NDArray[np.uint8] | None = None
    """(H, W, 3) RGB at the displayed size; None where nobody downstream wants it."""
    prepared: Prepared | None = None
    """The network's input; set by preprocess, dropped by segment."""
    result: ClassIds | Scores | None = None
    canvas: NDArray[np.uint8] | None = None
    """(h, w, 3) planar memory that `image` is the top left of, as large as the network's input if
    the frame is only padded; preprocess may write beyond the frame. None from sources that do
    not care for it."""

    def __repr__(self) -> str:
        image = "no picture" if self.image is None else f"image {self.image.shape}"
        return f"Frame({self.meta}, {image}, result={type(self.result).__name__})"


@dataclass(frozen=True, slots=True)
class Gap:
    """A frame that should have stood here and does not."""

    stream: str
    index: int
    """Index of the decoded frame that follows it."""
    pts: int | None
    """When it should have been shown, in the stream's time base; None where unknown."""
    reason: str


@dataclass(frozen=True, slots=True)
class FormatChange:
    """From the next frame on, something differs that a sink must begin a new part for."""

    stream: str
    index: int
    """Index of the first frame of the new format."""
    reason: str
    """For people: "size 960x540 -> 1280x720", "time runs backwards", ..."""


@dataclass(frozen=True, slots=True)
class End:
    """The last item of every stream."""

    stream: str


Item: TypeAlias = Frame | Gap | FormatChange | End
