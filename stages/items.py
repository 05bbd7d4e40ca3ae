"""The items of a stream: frames, and the events between them.

A source yields `Frame`, `Gap` and `FormatChange`, and finally one `End`. Each stage returns the
next kind of frame: `Frame` -> `PreparedFrame` -> `ScoredFrame` -> `SegmentedFrame`. All are frozen;
their arrays are shared, not copied, and must not be written to.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from icstream.model import Geometry, Scores
from icstream.model.renamed import renamed_fields, warn_renamed

Size: TypeAlias = tuple[int, int]
"""A (height, width) in pixels."""


def size_change(old: Size, new: Size) -> str:
    """Return the reason of a `FormatChange` from one size to another, as WIDTHxHEIGHT."""
    return f"size {old[1]}x{old[0]} -> {new[1]}x{new[0]}"


@dataclass(frozen=True, slots=True)
class FrameMeta:
    """The identity and time of a frame."""

    stream: str
    """The name of the stream, unique within a run."""
    index: int
    """The index among the decoded frames of the stream, in presentation order, from 0."""
    pts: int | None
    """The presentation time in units of `time_base`; None if the source has no usable clock."""
    time_base: Fraction
    """The seconds per unit of `pts`; if `pts` is None, the nominal seconds per frame."""
    size: Size
    """The (height, width) as displayed: cropped and rotated."""
    name: str | None = None
    """The unique name of the frame's image file, without suffix; None in a video."""
    pixel_aspect: Fraction | None = None
    """The width of a pixel divided by its height, as displayed; None if they are equal."""

    @property
    def time(self) -> Fraction | None:
        """The exact instant in seconds, `pts * time_base`; None without a clock."""
        return None if self.pts is None else self.pts * self.time_base


@renamed_fields(picture="image")
@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded frame."""

    meta: FrameMeta
    image: NDArray[np.uint8] | None = None
    """The (H, W, 3) RGB at the displayed size; None where it is not needed."""
    canvas: NDArray[np.uint8] | None = field(default=None, kw_only=True)
    """The (h, w, 3) planar memory whose top left is `image`, with the size of the network's input
    if the frame is only padded. Preprocess may write outside the frame. None from sources that do
    not use it."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFrame:
    """A frame with the network's input, from preprocess."""

    meta: FrameMeta
    image: NDArray[np.uint8] | None
    """As in `Frame`."""
    network_input: NDArray[np.uint8]
    """The (h, w, 3) RGB, with sides of 32k+1; planar, so that the network can read it without a
    copy."""
    geometry: Geometry
    """The placement of the frame in the input."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredFrame:
    """A frame with the network's logits, from segment."""

    meta: FrameMeta
    image: NDArray[np.uint8] | None
    """As in `Frame`."""
    scores: Scores


@dataclass(frozen=True, slots=True, eq=False)
class ClassIds:
    """The value of `SegmentedFrame.result`, for sinks that were written for icstream 0.1.0."""

    ids: NDArray[np.uint8]
    """The (H, W) class ids, at the frame's displayed size."""


@renamed_fields(picture="image")
@dataclass(frozen=True, slots=True, eq=False)
class SegmentedFrame:
    """A frame with the class of every pixel, as passed to sinks."""

    meta: FrameMeta
    class_ids: NDArray[np.uint8]
    """The (H, W) class ids, at the frame's displayed size."""
    image: NDArray[np.uint8] | None = None
    """The (H, W, 3) RGB at the displayed size; None if no sink's `wants_image` is true."""

    def require_image(self) -> NDArray[np.uint8]:
        """Return the image, which must be present.

        Raises:
            ValueError: There is none, because no sink set `wants_image`.
        """
        if self.image is None:
            raise ValueError(
                f"frame {self.meta.index} has no image; a sink that needs images"
                " sets wants_image to True"
            )
        return self.image

    @property
    def result(self) -> ClassIds:
        """The class ids as sinks of icstream 0.1.0 expect them."""
        warn_renamed("SegmentedFrame.result", "class_ids")
        return ClassIds(self.class_ids)


@dataclass(frozen=True, slots=True)
class Gap:
    """A missing frame."""

    stream: str
    index: int
    """The index of the decoded frame that follows it."""
    pts: int | None
    """Its presentation time, in the stream's time base; None if unknown."""
    reason: str


@dataclass(frozen=True, slots=True)
class FormatChange:
    """A change after which sinks must begin a new part."""

    stream: str
    index: int
    """The index of the first frame of the new format."""
    reason: str
    """The reason as text: "size 960x540 -> 1280x720", "time runs backwards", ..."""


@dataclass(frozen=True, slots=True)
class End:
    """The last item of every stream."""

    stream: str


Item: TypeAlias = Frame | Gap | FormatChange | End
"""The items that a source yields."""
