"""Parts that all commands share: signals, logging, results and old names."""

import logging
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, Self, TypeVar

from icstream.model.renamed import log_renamed
from icstream.model.shown import printable

log = logging.getLogger(__name__)

_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")

_HANG_UP = getattr(signal, "SIGHUP", None)  # not on Windows
_STOP_SIGNALS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, _HANG_UP)))
_SAME_SIGNAL_S = 0.2
"""Signals of one kind within this time, in seconds, count as one: `timeout` sends its signal to the
process and then to the whole group."""


class StopSignals:
    """Records stop signals while the context lasts, so that a command can end in order.

    The second signal of a kind ends the process, except SIGHUP, which the shell and the system may
    both send when a terminal closes.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as after nohup
                self._earlier[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._received = number
        signal.signal(number, lambda *_: None)
        log.warning("%s received, finishing", signal.Signals(number).name)
        time.sleep(_SAME_SIGNAL_S)
        signal.signal(number, signal.SIG_IGN if number == _HANG_UP else signal.SIG_DFL)

    def received(self) -> bool:
        """Return whether a stop signal was received."""
        return self._received is not None

    def exit_code(self) -> int:
        """Return 128 plus the signal's number, as shells do, or 0 if none was received."""
        return 0 if self._received is None else 128 + self._received


def log_to_stderr(*, quiet: bool) -> None:
    """Send log records to standard error; with `quiet`, warnings and errors only."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        handler: logging.Handler = RichHandler(console=Console(stderr=True), show_path=False)
        handler.setFormatter(PrintableLines("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(PrintableLines("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    log_renamed()
    logging.getLogger("icstream").setLevel(logging.WARNING if quiet else logging.INFO)


class PrintableLines(logging.Formatter):
    """A formatter that keeps names and addresses from forging log lines or exposing secrets."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """See base class."""
        record.message = printable(record.message)
        return super().formatMessage(record)


@contextmanager
def logging_restored() -> Iterator[None]:
    """Undo `log_to_stderr` on exit, for processes that go on after a command."""
    root, own = logging.getLogger(), logging.getLogger("icstream")
    handlers, level, show = list(root.handlers), own.level, warnings.showwarning
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            root.removeHandler(handler)
        own.setLevel(level)
        warnings.showwarning = show


def silence_opencv() -> None:
    """Silence OpenCV's messages about damaged images, which the commands report themselves."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def print_lines(lines: Iterable[str]) -> None:
    """Print results for people to standard error, because standard output is for JSON."""
    for line in lines:
        print(printable(line), file=sys.stderr)


def write_results(values: Mapping[str, Any], *files: Path | None) -> None:
    """Write results as JSON to files; a file named "-" is standard output."""
    errors = []
    for file in filter(None, files):
        try:
            _write_results(values, file)
        except OSError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _write_results(values: Mapping[str, Any], file: Path) -> None:
    from icstream.pipeline.output import to_json, write_json

    if str(file) == "-":
        try:
            print(to_json(values), flush=True)
        except BrokenPipeError:
            log.warning("standard output was closed before all results were written")
        return
    write_json(values, file)


def print_renamed(old: str, new: str) -> None:
    """Print a warning that a command or an option was renamed."""
    print_lines([f"icstream: warning: {old} is now called {new}"])


def renamed_command(
    command: Callable[_Params, _Result], old: str, new: str
) -> Callable[_Params, _Result]:
    """Return the command for use under its old name, with a warning that names the new one."""

    @wraps(command)
    def call(*args: _Params.args, **kwargs: _Params.kwargs) -> _Result:
        print_renamed(f"icstream {old}", f"icstream {new}")
        return command(*args, **kwargs)

    return call
