"""The progress display of a run: a row per stream on a terminal, log lines elsewhere."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from icstream.pipeline.cli.progress import ProgressDisplay
from icstream.pipeline.hub.stream_progress import Rate, describe_state, num_lost
from icstream.pipeline.hub.stream_state import StreamState

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress_bar import ProgressBar
    from rich.table import Table

log = logging.getLogger(__name__)


class RunProgress(ProgressDisplay):
    """The progress of every stream of a run; see `icstream.pipeline.run.run.RunDisplay`."""

    def __init__(self, *, quiet: bool = False, console: "Console | None" = None) -> None:
        super().__init__(quiet=quiet, console=console)
        self._rates: dict[str, Rate] = {}
        self._begun: set[str] = set()

    def update(self, streams: Sequence[StreamState]) -> None:
        """Show the streams that have begun."""
        for stream in streams:
            if stream.info is not None and stream.name not in self._begun:
                self._begun.add(stream.name)
                if not self.on_terminal:
                    log.info("%s: started, %s", stream.name, _expected(stream))
        self.show(lambda: self._table(streams), lambda: _describe(streams))

    def _table(self, streams: Sequence[StreamState]) -> "Table":
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("stream", overflow="ellipsis", max_width=24, no_wrap=True)
        table.add_column("")
        for title in ("frames", "frames/s", "left", "in flight", "lost"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for stream in streams:
            rate = self._rates.setdefault(stream.name, Rate())
            table.add_row(*_row(stream, rate.of(stream)))
        return table


def _row(stream: StreamState, rate: float) -> "list[str | ProgressBar]":
    from rich.progress_bar import ProgressBar

    accounting = stream.accounting
    expected = stream.info.num_frames if stream.info else None
    over = bool(stream.wall_s)
    left = f"{max(0, expected - accounting.encoded) / rate:.0f} s" if expected and rate else ""
    shown = accounting.encoded if expected else int(over)
    return [
        stream.name,
        ProgressBar(total=expected or 1, completed=shown, width=24),
        f"{accounting.encoded}/{expected or '?'}",
        f"{rate:.1f}" if rate else "",
        "" if over else left,
        " ".join(str(count.in_flight) for count in stream.leases.stage_counts.values()),
        str(num_lost(stream)),
        describe_state(stream),
    ]


def _expected(stream: StreamState) -> str:
    if stream.spec.kind == "live":
        return "live"
    expected = stream.info.num_frames if stream.info else None
    return f"{expected or 'unknown'} frames in the index"


def _describe(streams: Sequence[StreamState]) -> Iterator[str]:
    """Yield a line for each stream that is being read."""
    for stream in streams:
        if stream.started_s is not None and not stream.wall_s and stream.info is not None:
            yield _describe_stream(stream)


def _describe_stream(stream: StreamState) -> str:
    encoded = stream.accounting.encoded
    if stream.spec.kind != "live":
        expected = stream.info.num_frames if stream.info else None
        return f"{stream.name}: {encoded} of {expected or 'unknown'} frames"
    age = stream.source_status.last_frame_age_s
    last = "" if age is None else f", last frame {age:.1f} s ago"
    return f"{stream.name}: {stream.source_status.state}, {encoded} frames{last}"
