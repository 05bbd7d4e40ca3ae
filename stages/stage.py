"""The interface of frame stages."""

from typing import Protocol, TypeVar

Given = TypeVar("Given", contravariant=True)
Made = TypeVar("Made", covariant=True)


class FrameStage(Protocol[Given, Made]):
    """A stage that turns one frame into one frame, in any process.

    A stage neither delays nor drops frames; gaps, changes of format and the end of the stream do
    not pass through it.
    """

    def process(self, frame: Given, /) -> Made:
        """Return the processed frame.

        Raises:
            StageError: The frame cannot be processed; the stage remains usable.
        """
        ...
