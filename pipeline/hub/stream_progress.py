"""How far a stream has come, for displays: its rate, its state, what it lost."""

import time

from icstream.pipeline.hub.stream_state import StreamState

_RATE_OVER_S = 5.0


def num_lost(stream: StreamState) -> int:
    """Gives the number of frames that should have become masks and will not."""
    accounting = stream.accounting
    return (
        sum(c.total() for c in (accounting.undecodable, accounting.dropped, accounting.failed))
        + accounting.missing
    )


def state(stream: StreamState) -> str:
    """Gives a word for what a stream is doing."""
    if stream.seconds:
        return "failed" if stream.error else "done"
    if stream.spec.kind == "live" and stream.source_status.state != "live":
        return stream.source_status.state
    if not stream.reading:
        return "starting"
    return "running"


class Rate:
    """Frames per second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def of(self, stream: StreamState) -> float:
        """Gives the rate as of now; of a stream that is over, that of the whole."""
        now, done = time.monotonic(), stream.accounting.encoded
        if stream.seconds:
            return done / stream.seconds
        self._seen = [entry for entry in self._seen if now - entry[0] < _RATE_OVER_S]
        self._seen.append((now, done))
        then, before = self._seen[0]
        return (done - before) / (now - then) if now - then > 0.5 else 0.0
