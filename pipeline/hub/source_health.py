"""The health of a stream's source: connecting, live, stalled, backing off or ended."""

import logging
import time
from dataclasses import dataclass, field, replace
from fractions import Fraction

from icstream.pipeline.wire.messages import SourceChanged
from icstream.stages import FrameMeta
from icstream.stages.live import SourceState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The state of a stream's source, with times of the monotonic clock."""

    state: SourceState = "connecting"
    since_s: float = field(default_factory=time.monotonic)
    """Time of the last change of state, in seconds."""
    connections: int = 0
    """Number of connections so far."""
    last_error: str | None = None
    """Reason why the last connection failed or ended."""
    last_frame_s: float | None = None
    """Time at which the last frame was decoded, in seconds; None before the first."""

    @property
    def last_frame_age_s(self) -> float | None:
        """The time since the last frame was decoded, in seconds; None before the first."""
        return None if self.last_frame_s is None else time.monotonic() - self.last_frame_s

    def to(self, state: SourceState) -> "SourceStatus":
        """Return the status after a change of state, or the same object without a change."""
        return self if state == self.state else replace(self, state=state, since_s=time.monotonic())


class SourceHealth:
    """Tracks the health of one source by its decoder's messages.

    Attributes:
        status: The present status.
        last: The time of a live source's last frame and the time it was received, in seconds.
    """

    def __init__(self, stream: str, *, is_live: bool, stall_s: float) -> None:
        """Start with a source that is connecting.

        Args:
            stream: The name of the stream.
            is_live: Whether the source may come and go.
            stall_s: The time without frames, in seconds, after which a live source is stalled.
        """
        self.status = SourceStatus()
        self.last: tuple[Fraction, float] | None = None
        self._stream = stream
        self._is_live = is_live
        self._stall_s = stall_s

    def note_change(self, change: SourceChanged) -> None:
        """Record a change of a live source, and log what is new."""
        known = ("connecting", change.error)
        if change.error and (self.status.state, self.status.last_error) != known:
            then = "; reconnecting" if change.state == "backing off" else ""
            log.warning("%s: %s%s", self._stream, change.error, then)
        elif change.state == "live":
            log.info("%s: connected", self._stream)
        self.status = replace(
            self.status.to(change.state),
            connections=change.connections,
            last_error=change.error or self.status.last_error,
        )

    def note_frame(self, meta: FrameMeta, came_s: float) -> None:
        """Record a decoded frame, with its monotonic time in seconds."""
        if self._is_live and meta.time is not None:
            self.last = meta.time, came_s
        self.status = replace(self.status, connections=max(1, self.status.connections))
        self._note_decoded(came_s)

    def note_skipped(self) -> None:
        """Record a frame that was decoded but left out."""
        self._note_decoded(time.monotonic())

    def watch(self) -> None:
        """Mark the source as stalled if it is."""
        age_s = self.status.last_frame_age_s
        if self._is_live and self.status.state == "live" and age_s is not None:
            silent_s = min(age_s, time.monotonic() - self.status.since_s)
            if silent_s > self._stall_s:
                self.status = self.status.to("stalled")

    def end(self) -> None:
        """Record that the source is not read any more."""
        self.status = self.status.to("ended")

    def _note_decoded(self, moment_s: float) -> None:
        """Record when a frame was decoded.

        A frame of a live source may arrive after the message that its connection is lost.
        """
        if not self._is_live or self.status.state == "stalled":
            self.status = self.status.to("live")
        self.status = replace(self.status, last_frame_s=moment_s)
