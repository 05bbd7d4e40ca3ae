"""How far a run has come: a bar on a terminal, plain log lines elsewhere, or nothing."""

import logging
import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

log = logging.getLogger(__name__)

_LOG_EVERY_S = 10.0


class BarProgress:
    """A row per stream on standard error."""

    def __init__(self) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, tuple[TaskID, float]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, stream: str, num_frames: int | None) -> None:
        """See `Progress.begin`."""
        task = self._bars.add_task(stream, total=num_frames, rate="")
        self._tasks[stream] = task, time.monotonic()

    def advance(self, stream: str) -> None:
        """See `Progress.advance`."""
        task, start = self._tasks[stream]
        done = self._bars.tasks[task].completed + 1
        rate = done / max(time.monotonic() - start, 1e-3)
        self._bars.update(task, completed=done, rate=f"{rate:.1f} frames/s")


class LogProgress:
    """A log line at the start of each stream and every ten seconds."""

    def __init__(self) -> None:
        self._totals: dict[str, int | None] = {}
        self._done = 0
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, stream: str, num_frames: int | None) -> None:
        """See `Progress.begin`."""
        self._totals[stream] = num_frames
        self._done = 0
        self._next = time.monotonic() + _LOG_EVERY_S
        log.info("%s: begins, %s frames in its index", stream, num_frames or "unknown")

    def advance(self, stream: str) -> None:
        """See `Progress.advance`."""
        self._done += 1
        if time.monotonic() >= self._next:
            self._next += _LOG_EVERY_S
            log.info("%s: %d of %s frames", stream, self._done, self._totals[stream] or "unknown")


def open_progress(*, quiet: bool) -> BarProgress | LogProgress:
    """Gives a bar if standard error is a terminal and nothing else was asked for."""
    return BarProgress() if sys.stderr.isatty() and not quiet else LogProgress()
