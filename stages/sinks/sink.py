"""What every sink offers."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, Self

from icstream.stages.items import Frame, FrameMeta, Size


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
        """Gives the part of that many frames that begins with `first`."""
        clock: Literal["pts", "index"] = "index" if first.pts is None else "pts"
        return cls(path, first.index, num_frames, first.size, clock, first.time_base)


class Sink(Protocol):
    """Takes the finished frames of one stream, in order.

    A sink begins a new part when `begin_part` is called before a frame. An `OSError` that it raises
    ends the run.
    """

    wants_image: bool
    """Whether `Frame.image` must still be there."""
    num_held_back: int
    """So many of the frames written last may be lost if the process ends without `close`."""

    @property
    def parts(self) -> list[Part]:
        """Gives what was written, the part under way included."""
        ...

    def restart_point(self, at_most: int) -> int:
        """Gives the number of frames, up to `at_most`, after which an earlier run can go on.

        They are whole on disk; 0 where there are none.
        """
        ...

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Counts frames that were written before, in their place in the order.

        All frames before the restart point are skipped, in order, before the first is written;
        what lies behind them on disk is cut off then.

        Args:
            first: the first of them, of whose part all of them are.
            num_frames: how many there are.
        """
        ...

    def begin_part(self) -> None:
        """Makes the next frame the first of a new part; without effect before the first frame."""
        ...

    def write(self, frame: Frame) -> None:
        """Writes a frame whose `result` is `ClassIds`."""
        ...

    def close(self) -> None:
        """Finishes all files; to be called once, also after an error."""
        ...
