"""The phases of a stream, from its first worker to its last.

    OPENING --> READING --> STOPPING --> DRAINING <--> CLOSING --> CLOSED

A stream moves to the right, past phases that it does not need. The one way back: when the encode
worker is lost while it closes its files, the frames that it had are written once more.
"""

from enum import IntEnum


class Phase(IntEnum):
    """How far a stream has come; a later phase is greater."""

    OPENING = 0
    """Source and sinks are being opened, and no frame has come."""
    READING = 1
    """Frames come from the decoder."""
    STOPPING = 2
    """The decoder was asked to finish, and its last frames are on their way."""
    DRAINING = 3
    """No more frames come; those in flight still go into the files."""
    CLOSING = 4
    """The encode worker has all frames, and was asked to close its files."""
    CLOSED = 5
    """The workers are ending, and the accounting is final."""
