"""The progress of a stream for displays: rate, state and lost frames."""

import time

from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_state import StreamState

_RATE_OVER_S = 5.0


def num_lost(stream: StreamState) -> int:
    """Return the number of frames that should have become masks but will not."""
    accounting = stream.accounting
    return (
        sum(c.total() for c in (accounting.undecodable, accounting.dropped, accounting.failed))
        + accounting.missing
    )


def describe_state(stream: StreamState) -> str:
    """Return the state of a stream in a word or two."""
    if stream.phase is Phase.CLOSED:
        return "failed" if stream.error else "done"
    if stream.is_live and stream.source_status.state != "live":
        return stream.source_status.state
    return "starting" if stream.phase is Phase.OPENING else "running"


class Rate:
    """Frames per second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def of(self, stream: StreamState) -> float:
        """Return the present rate or, for a closed stream, the overall rate."""
        now_s, done = time.monotonic(), stream.accounting.encoded
        if stream.wall_s:
            return done / stream.wall_s
        self._seen = [entry for entry in self._seen if now_s - entry[0] < _RATE_OVER_S]
        self._seen.append((now_s, done))
        then_s, before = self._seen[0]
        return (done - before) / (now_s - then_s) if now_s - then_s > 0.5 else 0.0
