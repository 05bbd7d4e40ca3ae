"""What the commands of the command line share: signals, logging, results handed on."""

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any, Self

log = logging.getLogger(__name__)

_LOG_EVERY_S = 10.0


class StopSignals:
    """Remembers SIGINT and SIGTERM, so that a run can end in order; a second one kills."""

    def __init__(self) -> None:
        self._signal: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: object) -> None:
        self._signal = number
        signal.signal(number, signal.SIG_DFL)
        log.warning("%s: finishing what is under way", signal.Signals(number).name)

    def received(self) -> bool:
        """True once a signal came."""
        return self._signal is not None

    def exit_code(self) -> int:
        """Gives 128 plus the signal's number, as shells do; 0 if none came."""
        return 0 if self._signal is None else 128 + self._signal


class Bar:
    """A progress bar on standard error if that is a terminal; log lines now and then elsewhere."""

    def __init__(self, doing: str) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._doing = doing
        self._next_line = time.monotonic() + _LOG_EVERY_S
        self._progress = Progress(
            console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
        )
        self._task = self._progress.add_task(doing, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, done: int, total: int) -> None:
        """Shows that so many of all are done."""
        self._progress.update(self._task, completed=done, total=total)
        if self._progress.disable and time.monotonic() >= self._next_line:
            log.info("%s: %d of %d", self._doing, done, total)
            self._next_line = time.monotonic() + _LOG_EVERY_S


def hand_on(values: dict[str, Any], file: Path | None) -> None:
    """Writes results as JSON into a file, or to standard output if that is called "-"."""
    if file is None:
        return
    if str(file) == "-":
        print(json.dumps(values, indent=2))
        return
    from icstream.pipeline.output import write_json

    write_json(values, file)


def log_to_stderr(quiet: bool) -> None:
    """Sets up logging, once for the process."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        form = "%(message)s"
        handler: logging.Handler = RichHandler(console=Console(stderr=True), show_path=False)
    else:
        form, handler = "%(asctime)s %(levelname)s %(message)s", logging.StreamHandler()
    logging.basicConfig(level=logging.WARNING, format=form, handlers=[handler])
    logging.getLogger("icstream").setLevel(logging.WARNING if quiet else logging.INFO)
