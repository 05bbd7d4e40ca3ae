"""Outcomes of frames that wait for shared workers."""

from dataclasses import dataclass
from typing import TypeAlias

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A waiting frame that was overtaken by a newer one."""

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
"""The outcome of a frame that has left a pool, for its stream's controller to handle."""
