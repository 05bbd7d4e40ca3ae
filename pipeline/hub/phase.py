"""The phases of a stream, from its first worker to its last.

    OPENING --> READING --> STOPPING --> DRAINING <--> CLOSING --> CLOSED

A stream moves to the right, and may skip phases. It moves back only when the encode worker is lost
while closing its files: the frames that it had are then written again.
"""

from enum import IntEnum


class Phase(IntEnum):
    """The progress of a stream; a later phase is greater."""

    OPENING = 0
    """Source and sinks are being opened, and no frame has been received."""
    READING = 1
    """Frames are being received from the decoder."""
    STOPPING = 2
    """The decoder was asked to finish, and its last frames are in transit."""
    DRAINING = 3
    """No more frames are received; those in flight are still written."""
    CLOSING = 4
    """The encode worker has all frames, and was asked to close its files."""
    CLOSED = 5
    """The workers are ending, and the accounting is final."""
