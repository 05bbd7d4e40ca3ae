"""How far a run has come: a row per stream on a terminal, plain log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from icstream.pipeline.hub.stream_progress import Rate, num_lost, state
from icstream.pipeline.hub.stream_state import StreamState

log = logging.getLogger(__name__)

_LOG_EVERY_S = 10.0


class LiveProgress:
    """A row per stream on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self._live = Live(console=console or Console(stderr=True), refresh_per_second=4)
        self._rates: dict[str, Rate] = {}

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, streams: Sequence[StreamState]) -> None:
        """See `RunDisplay.update`."""
        table = Table(box=None, pad_edge=False)
        table.add_column("stream", overflow="ellipsis", max_width=24, no_wrap=True)
        table.add_column("")
        for title in ("frames", "frames/s", "left", "in flight", "lost"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for stream in streams:
            rate = self._rates.setdefault(stream.name, Rate())
            table.add_row(*_row(stream, rate.of(stream)))
        self._live.update(table)


def _row(stream: StreamState, rate: float) -> list[str | ProgressBar]:
    accounting = stream.accounting
    promised = stream.info.num_frames if stream.info else None
    over = bool(stream.seconds)
    left = f"{max(0, promised - accounting.encoded) / rate:.0f} s" if promised and rate else ""
    shown = accounting.encoded if promised else int(over)
    return [
        stream.name,
        ProgressBar(total=promised or 1, completed=shown, width=24),
        f"{accounting.encoded}/{promised or '?'}",
        f"{rate:.1f}" if rate else "",
        "" if over else left,
        " ".join(str(hop.in_flight) for hop in stream.leases.stage_counts.values()),
        str(num_lost(stream)),
        state(stream),
    ]


class LogProgress:
    """A log line when a stream begins and every ten seconds."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, streams: Sequence[StreamState]) -> None:
        """See `RunDisplay.update`."""
        for stream in streams:
            if stream.info is not None and stream.name not in self._begun:
                self._begun.add(stream.name)
                log.info("%s: begins, %s", stream.name, _expected(stream))
        now = time.monotonic()
        if now < self._next:
            return
        if self._next:
            for stream in streams:
                if stream.started and not stream.seconds and stream.info is not None:
                    log.info("%s", _how_far(stream))
        self._next = now + _LOG_EVERY_S


def _expected(stream: StreamState) -> str:
    if stream.spec.kind == "live":
        return "live"
    promised = stream.info.num_frames if stream.info else None
    return f"{promised or 'unknown'} frames in its index"


def _how_far(stream: StreamState) -> str:
    """Gives how far a stream has come, in words."""
    encoded = stream.accounting.encoded
    if stream.spec.kind != "live":
        promised = stream.info.num_frames if stream.info else None
        return f"{stream.name}: {encoded} of {promised or 'unknown'} frames"
    age = stream.source_status.last_frame_age
    last = "" if age is None else f", last image {age:.1f} s ago"
    return f"{stream.name}: {stream.source_status.state}, {encoded} frames{last}"


def open_progress(*, quiet: bool) -> LiveProgress | LogProgress:
    """Gives rows if standard error is a terminal and nothing else was asked for."""
    return LiveProgress() if sys.stderr.isatty() and not quiet else LogProgress()
