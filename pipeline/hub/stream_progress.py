"""How far a stream has come, for displays: its rate, its state, what it lost."""

import time

from icstream.pipeline.hub.stream_state import Stream

_RATE_OVER_S = 5.0


def num_lost(stream: Stream) -> int:
    """Gives the number of pictures that should have become masks and will not."""
    books = stream.books
    return sum(c.total() for c in (books.undecodable, books.dropped, books.failed)) + books.missing


def state(stream: Stream) -> str:
    """Gives a word for what a stream is doing."""
    if stream.seconds:
        return "failed" if stream.error else "done"
    if stream.spec.kind == "live" and stream.health.state != "live":
        return stream.health.state
    if not stream.reading:
        return "starting"
    return "running"


class Rate:
    """Frames per second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def of(self, stream: Stream) -> float:
        """Gives the rate as of now; of a stream that is over, that of the whole."""
        now, done = time.monotonic(), stream.books.encoded
        if stream.seconds:
            return done / stream.seconds
        self._seen = [entry for entry in self._seen if now - entry[0] < _RATE_OVER_S]
        self._seen.append((now, done))
        then, before = self._seen[0]
        return (done - before) / (now - then) if now - then > 0.5 else 0.0
