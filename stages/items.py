"""What travels through a stream: frames, and the events between them.

A source yields `Frame`, `Gap` and `FormatChange`, closed by one `End`. Each stage makes the next
kind of frame: `Frame` -> `PreparedFrame` -> `ScoredFrame` -> `SegmentedFrame`. All are frozen;
arrays inside them are shared, not copied, and whoever receives one must not write into it.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from icstream.model import Geometry, Scores
from icstream.model.renamed import renamed_fields, warn_renamed

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
    """Name of the frame's image file, without suffix and unique; None in a video."""
    pixel_aspect: Fraction | None = None
    """Width of a pixel divided by its height, as displayed; None where they are equal."""

    @property
    def time(self) -> Fraction | None:
        """The exact instant in seconds, `pts * time_base`; None without a clock."""
        return None if self.pts is None else self.pts * self.time_base


@renamed_fields(picture="image")
@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame as the decoder gives it."""

    meta: FrameMeta
    image: NDArray[np.uint8] | None = None
    """(H, W, 3) RGB at the displayed size; None where nobody needs it any more."""
    canvas: NDArray[np.uint8] | None = field(default=None, kw_only=True)
    """(h, w, 3) planar memory that `image` is the top left of, as large as the network's input if
    the frame is only padded; preprocess may write beyond the frame. None from sources that do
    not care for it."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFrame:
    """A frame with the network's input, as preprocess makes it."""

    meta: FrameMeta
    image: NDArray[np.uint8] | None
    """As in `Frame`."""
    network_input: NDArray[np.uint8]
    """(h, w, 3) RGB, both sides 32k+1; planar, so that the network can read it where it lies."""
    geometry: Geometry
    """How the frame lies in it."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredFrame:
    """A frame with what the network says of it, as segment makes it."""

    meta: FrameMeta
    image: NDArray[np.uint8] | None
    """As in `Frame`."""
    scores: Scores


@dataclass(frozen=True, slots=True, eq=False)
class ClassIds:
    """What `SegmentedFrame.result` gives to sinks that were written for icstream 0.1.0."""

    ids: NDArray[np.uint8]
    """(H, W) class ids, of the frame's displayed size."""


@renamed_fields(picture="image")
@dataclass(frozen=True, slots=True, eq=False)
class SegmentedFrame:
    """A frame with the class of every pixel, as encode makes it and sinks get it."""

    meta: FrameMeta
    class_ids: NDArray[np.uint8]
    """(H, W), of the frame's displayed size."""
    image: NDArray[np.uint8] | None = None
    """(H, W, 3) RGB at the displayed size; None if no sink's `wants_image` is true."""

    def require_image(self) -> NDArray[np.uint8]:
        """Return the image of a frame that must have one.

        Raises:
            ValueError: there is none, because the sink did not ask for it.
        """
        if self.image is None:
            raise ValueError(
                f"frame {self.meta.index} came without its image:"
                " a sink that needs images sets wants_image to True"
            )
        return self.image

    @property
    def result(self) -> ClassIds:
        """The class ids as sinks of icstream 0.1.0 expect them."""
        warn_renamed("SegmentedFrame.result", "class_ids")
        return ClassIds(self.class_ids)


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
"""What a source yields."""
