"""The health of a stream's source: connecting, live, stalled, backing off, ended."""

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
    """How the source of a stream is doing. Moments are by `time.monotonic()`."""

    state: SourceState = "connecting"
    since_s: float = field(default_factory=time.monotonic)
    """When it came into this state."""
    connections: int = 0
    """How often it was connected."""
    last_error: str | None = None
    """Why the last connection failed or ended."""
    last_frame_s: float | None = None
    """When the last frame was decoded; None before the first."""

    @property
    def last_frame_age_s(self) -> float | None:
        """How long ago the last frame was decoded; None before the first."""
        return None if self.last_frame_s is None else time.monotonic() - self.last_frame_s

    def to(self, state: SourceState) -> "SourceStatus":
        """Return the status after a change of state; the same if it is none."""
        return self if state == self.state else replace(self, state=state, since_s=time.monotonic())


class SourceHealth:
    """Follows the health of one source by what its decoder sends.

    Attributes:
        status: As of now.
        last: The time of the last frame of a live source in seconds, and when it came.
    """

    def __init__(self, stream: str, *, is_live: bool, stall_s: float) -> None:
        """Begin with a source that is being connected.

        Args:
            stream: The name of its stream.
            is_live: Whether it may come and go.
            stall_s: A live source without a frame for so long counts as stalled.
        """
        self.status = SourceStatus()
        self.last: tuple[Fraction, float] | None = None
        self._stream = stream
        self._is_live = is_live
        self._stall_s = stall_s

    def note_change(self, change: SourceChanged) -> None:
        """Note a change of a live source, and log what is new."""
        known = ("connecting", change.error)
        if change.error and (self.status.state, self.status.last_error) != known:
            then = "; connecting again" if change.state == "backing off" else ""
            log.warning("%s: %s%s", self._stream, change.error, then)
        elif change.state == "live":
            log.info("%s: connected", self._stream)
        self.status = replace(
            self.status.to(change.state),
            connections=change.connections,
            last_error=change.error or self.status.last_error,
        )

    def note_frame(self, meta: FrameMeta, came_s: float) -> None:
        """Note a frame that was decoded, and when by the monotonic clock."""
        if self._is_live and meta.time is not None:
            self.last = meta.time, came_s
        self.status = replace(self.status, connections=max(1, self.status.connections))
        self._note_decoded(came_s)

    def note_skipped(self) -> None:
        """Note a frame that was decoded and left out."""
        self._note_decoded(time.monotonic())

    def watch(self) -> None:
        """Note that the source is stalled, if it is."""
        age_s = self.status.last_frame_age_s
        if self._is_live and self.status.state == "live" and age_s is not None:
            silent_s = min(age_s, time.monotonic() - self.status.since_s)
            if silent_s > self._stall_s:
                self.status = self.status.to("stalled")

    def end(self) -> None:
        """Note that the source is not read any more."""
        self.status = self.status.to("ended")

    def _note_decoded(self, moment_s: float) -> None:
        """Note when a frame was decoded.

        That of a live source may arrive after the news that its connection is lost.
        """
        if not self._is_live or self.status.state == "stalled":
            self.status = self.status.to("live")
        self.status = replace(self.status, last_frame_s=moment_s)
