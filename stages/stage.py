"""The one signature that every frame stage has."""

from typing import Protocol, TypeVar

Given = TypeVar("Given", contravariant=True)
Made = TypeVar("Made", covariant=True)


class FrameStage(Protocol[Given, Made]):
    """One frame in, one frame out; the same in a test, in one process and in a worker.

    A stage holds no frame back and keeps no frame from coming out: gaps, changes of format and the
    end of the stream pass it by.
    """

    def process(self, frame: Given, /) -> Made:
        """Return what the stage makes of a frame.

        Raises:
            StageError: this frame cannot be processed; the stage stays usable.
        """
        ...
