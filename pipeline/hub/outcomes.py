"""What becomes of frames that wait for the workers that all streams share."""

from dataclasses import dataclass
from typing import TypeAlias

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A frame that waited, and is too old now that a newer one was handed out."""

    stream: StreamState
    lease: Lease


@dataclass(frozen=True, slots=True)
class FailedFrame:
    """A frame that the stage could not process."""

    stream: StreamState
    lease: Lease
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A frame that was dropped while a worker had it, and that no worker uses any more."""

    stream: StreamState
    lease: Lease


Outcome: TypeAlias = Overtaken | FailedFrame | Returned
"""What became of a frame that the pool has parted with, for its stream's controller to act on."""
