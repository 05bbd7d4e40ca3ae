"""The parts of sinks that use one path for all formats."""

from dataclasses import replace

from icstream.stages.items import FrameMeta
from icstream.stages.sinks.sink import Part


class PartList:
    """The parts under one path, with the frames of each format.

    Attributes:
        num_frames: The number of frames.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._parts: list[Part] = []
        self._begin = True
        self.num_frames = 0

    def begin_part(self) -> None:
        """Make the next frame the first of a new part."""
        self._begin = True

    def count(self, first: FrameMeta, num_frames: int = 1) -> None:
        """Count frames that were written."""
        self.num_frames += num_frames
        if self._begin:
            self._parts.append(Part.beginning(self._path, first, num_frames=num_frames))
            self._begin = False
        else:
            last = self._parts[-1]
            self._parts[-1] = replace(last, num_frames=last.num_frames + num_frames)

    def all(self) -> list[Part]:
        """Return all parts so far."""
        return list(self._parts)
