"""What every sink offers."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, Self

from icstream.model.renamed import warn_renamed_in
from icstream.stages.items import FrameMeta, SegmentedFrame, Size


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a sink, or the frames of one format where each frame is a file."""

    path: str
    """Relative to the stream's folder."""
    first_index: int
    num_frames: int
    size: Size
    clock: Literal["pts", "index"]
    """Whether times in it are the source's, or frame numbers."""
    time_base: Fraction
    """Seconds per unit of the times."""

    @classmethod
    def beginning(cls, path: str, first: FrameMeta, *, num_frames: int) -> Self:
        """Return the part of that many frames that begins with `first`."""
        clock: Literal["pts", "index"] = "index" if first.pts is None else "pts"
        return cls(path, first.index, num_frames, first.size, clock, first.time_base)


class Sink(Protocol):
    """Takes the finished frames of one stream, in order.

    A stream's encode worker makes the sink, then calls `restart_point` (after an earlier run
    only), `skip` for all frames that were written before, `write` for each of the others, and
    `close`. A sink creates its files with the first frame, so that a run that fails before leaves
    none. An `OSError` that it raises ends the run.
    """

    wants_image: bool
    """Whether `write` needs `SegmentedFrame.image`; images of other sinks are not kept."""
    num_held_back: int
    """So many of the frames written last may be lost if the process ends without `close`."""

    @property
    def parts(self) -> list[Part]:
        """What was written, the part under way included."""
        ...

    def restart_point(self, at_most: int) -> int:
        """Return the number of frames, up to `at_most`, after which an earlier run can go on.

        They are whole on disk; 0 where there are none.
        """
        ...

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Count frames that were written before, in their place in the order.

        All frames before the restart point are skipped, in order, before the first is written;
        what lies behind them on disk is cut off then.

        Args:
            first: the first of them, of whose part all of them are.
            num_frames: how many there are.
        """
        ...

    def begin_part(self) -> None:
        """Make the next frame the first of a new part; without effect before the first frame."""
        ...

    def write(self, frame: SegmentedFrame) -> None:
        """Write a frame; its arrays are shared and must not be changed."""
        ...

    def close(self) -> None:
        """Finish all files; called once, also after an error."""
        ...


def any_wants_image(sinks: Iterable[Sink]) -> bool:
    """Return whether a sink needs the image, also of those that still call it `wants_picture`."""
    return any([_wants_image(sink) for sink in sinks])


def _wants_image(sink: Sink) -> bool:
    if not hasattr(sink, "wants_image") and hasattr(sink, "wants_picture"):
        warn_renamed_in(type(sink), "wants_picture", "wants_image")
        return bool(sink.wants_picture)
    return sink.wants_image
