"""The progress of a stream, for displays: its rate, its state, and what it lost."""

import time

from icstream.pipeline.hub.stream_state import StreamState

_RATE_OVER_S = 5.0


def num_lost(stream: StreamState) -> int:
    """Return the number of frames that should have become masks and will not."""
    accounting = stream.accounting
    return (
        sum(c.total() for c in (accounting.undecodable, accounting.dropped, accounting.failed))
        + accounting.missing
    )


def describe_state(stream: StreamState) -> str:
    """Return the state of a stream in a word or two."""
    if stream.seconds:
        return "failed" if stream.error else "done"
    if stream.spec.kind == "live" and stream.source_status.state != "live":
        return stream.source_status.state
    if not stream.reading:
        return "starting"
    return "running"


class Rate:
    """The frames per second of a stream over the last few seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def of(self, stream: StreamState) -> float:
        """Return the rate as of now; of a stream that is over, that of the whole."""
        now, done = time.monotonic(), stream.accounting.encoded
        if stream.seconds:
            return done / stream.seconds
        self._seen = [entry for entry in self._seen if now - entry[0] < _RATE_OVER_S]
        self._seen.append((now, done))
        then, before = self._seen[0]
        return (done - before) / (now - then) if now - then > 0.5 else 0.0
