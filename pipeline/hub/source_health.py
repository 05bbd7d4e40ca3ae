"""The state of a stream's source: connecting, live, stalled, backing off, ended."""

import time
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

SourceState: TypeAlias = Literal["connecting", "live", "stalled", "backing off", "ended"]
"""What the source of a stream is doing: "live" means that frames come."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How the source of a stream is doing. Moments are by `time.monotonic()`."""

    state: SourceState = "connecting"
    since: float = field(default_factory=time.monotonic)
    """When it came into this state."""
    connections: int = 0
    """How often it was connected."""
    last_error: str | None = None
    """Why the last connection failed or ended."""
    last_frame: float | None = None
    """When the last frame was decoded; None before the first."""

    @property
    def last_frame_age(self) -> float | None:
        """Gives how many seconds ago the last frame was decoded; None before the first."""
        return None if self.last_frame is None else time.monotonic() - self.last_frame

    def to(self, state: SourceState) -> "SourceStatus":
        """Gives the health after a change of state; the same if it is none."""
        return self if state == self.state else replace(self, state=state, since=time.monotonic())
