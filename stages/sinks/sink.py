"""The interface of sinks."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, Self, runtime_checkable

from icstream.model.renamed import warn_renamed_in
from icstream.stages.items import FrameMeta, SegmentedFrame, Size


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a sink, or the frames of one format if each frame is a file."""

    path: str
    """The path relative to the stream's folder."""
    first_index: int
    num_frames: int
    size: Size
    clock: Literal["pts", "index"]
    """Whether times are the source's or frame indices."""
    time_base: Fraction
    """The seconds per unit of the times."""

    @classmethod
    def beginning(cls, path: str, first: FrameMeta, *, num_frames: int) -> Self:
        """Return the part with a number of frames that begins with `first`."""
        clock: Literal["pts", "index"] = "index" if first.pts is None else "pts"
        return cls(path, first.index, num_frames, first.size, clock, first.time_base)


class Sink(Protocol):
    """A writer of the finished frames of one stream, in order.

    A stream's encode worker creates the sink, then calls `restart_point` (only after an earlier
    run), `skip` for all frames that were written before, `write` for each of the others, and
    `close`. A sink creates its files with the first frame, so that a run that fails earlier leaves
    none. If it raises an `OSError`, the run ends.
    """

    wants_image: bool
    """Whether `write` needs `SegmentedFrame.image`, which is otherwise dropped."""
    num_held_back: int
    """The number of last frames that may be lost if the process ends without `close`."""

    @property
    def parts(self) -> list[Part]:
        """The parts written so far, including the current one."""
        ...

    def restart_point(self, at_most: int) -> int:
        """Return the number of frames, up to `at_most`, after which an earlier run can continue.

        All of them are complete on disk; 0 if there are none.
        """
        ...

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Skip frames that were written before, in their place in the order.

        All frames before the restart point are skipped, in order, before the first is written;
        later frames on disk are then removed.

        Args:
            first: The first of the frames, which all belong to its part.
            num_frames: The number of frames.
        """
        ...

    def begin_part(self) -> None:
        """Make the next frame the first of a new part; has no effect before the first frame."""
        ...

    def write(self, frame: SegmentedFrame) -> None:
        """Write a frame, whose arrays are shared and must not be modified."""
        ...

    def close(self) -> None:
        """Finish all files; called once, even after an error."""
        ...


@runtime_checkable
class LimitedSink(Protocol):
    """A sink that leaves out frames of sizes that its format does not allow, with a warning."""

    def size_fault(self, size: Size) -> str | None:
        """Return why frames of (height, width) are left out, or None if they are written."""
        ...


def common_size_fault(sinks: Iterable[Sink], size: Size) -> str | None:
    """Return why no sink can write frames of (height, width), or None if one can."""
    faults = [sink.size_fault(size) if isinstance(sink, LimitedSink) else None for sink in sinks]
    return faults[0] if faults and None not in faults else None


def any_wants_image(sinks: Iterable[Sink]) -> bool:
    """Return whether a sink needs the image, including those that still use `wants_picture`."""
    return any([_wants_image(sink) for sink in sinks])


def _wants_image(sink: Sink) -> bool:
    if not hasattr(sink, "wants_image") and hasattr(sink, "wants_picture"):
        warn_renamed_in(type(sink), "wants_picture", "wants_image")
        return bool(sink.wants_picture)
    return sink.wants_image
