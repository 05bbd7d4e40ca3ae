"""What each stage received, finished, failed and dropped of a stream."""

from dataclasses import dataclass


@dataclass(slots=True)
class StageCounts:
    """What one stage had to do with the frames of a stream; each counter has its own event."""

    received: int = 0
    """Frames that came in, each counted once."""
    finished: int = 0
    """Frames that went on."""
    failed: int = 0
    dropped: int = 0
    in_flight: int = 0
    """Frames in it or waiting for it: raised and lowered as they pass."""
    retried: int = 0
    """Frames that were handed out once more because a worker was lost."""
