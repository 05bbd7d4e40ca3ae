"""Standard output and standard error that may be closed, or read by nobody."""

import io
import logging
import os
import queue
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn, TextIO

_MAX_WAITING = 4000
"""Pieces of text that wait to be written; a line has two at most."""
_END_S = 1.0
"""How long the last lines may take at the end of the process."""
_POLL_S = 0.01


class UnblockedStream(io.TextIOBase):
    """A stream whose `write` never waits: a thread writes, and what is too much is left out.

    The reader of standard error may stand still, as a terminal after Ctrl-S does, or go away.
    Neither may hold up the one thread that all streams of a run need, nor its end.
    """

    def __init__(self, stream: TextIO, *, max_waiting: int = _MAX_WAITING) -> None:
        self._stream = stream
        self._max_waiting = max_waiting
        # Of the queues only this one may be used in a signal handler that interrupts itself.
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._num_left_out = 0
        self._is_writing = False
        self._is_gone = False
        self._pid = os.getpid()
        threading.Thread(target=self._write_all, name="standard error", daemon=True).start()

    def write(self, text: str) -> int:
        """See `io.TextIOBase`."""
        if os.getpid() != self._pid:  # a forked process has no thread for it
            return self._stream.write(text)
        if self._waiting.qsize() >= self._max_waiting:
            self._num_left_out += text.count("\n")
        elif not self._is_gone:
            self._waiting.put(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: to wait is what this stream is there to avoid; see `drain`."""

    def drain(self, timeout_s: float) -> None:
        """Wait until all is written or nobody reads it for so long."""
        deadline = time.monotonic() + timeout_s
        while not self._is_gone and time.monotonic() < deadline:
            if self._waiting.empty() and not self._is_writing:
                return
            time.sleep(_POLL_S)

    def isatty(self) -> bool:
        """See `io.TextIOBase`."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """See `io.TextIOBase`."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """See `io.TextIOBase`."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """See `io.TextIOBase`."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """See `io.TextIOBase`."""
        return self._stream.errors

    def _write_all(self) -> None:
        while not self._is_gone:
            text = self._waiting.get()
            self._is_writing = True
            try:
                self._stream.write(text)
                self._stream.flush()
                self._tell_left_out()
            except (OSError, ValueError):  # its reader has gone, or it was closed
                self._is_gone = True
            self._is_writing = False

    def _tell_left_out(self) -> None:
        if self._num_left_out and self._waiting.empty():
            count, self._num_left_out = self._num_left_out, 0
            self._stream.write(f"icstream: {count} lines are missing here: nobody read them\n")
            self._stream.flush()


def guard_standard_streams() -> None:
    """Let nothing that becomes of standard output and standard error disturb this process.

    Those that are closed lead nowhere, so that no file of ours gets their numbers.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    # Python has None for what was closed when it started.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = UnblockedStream(sys.stderr or open(os.devnull, "w"))  # noqa: SIM115


def end_at_once(code: int) -> NoReturn:
    """End the process although threads are within libraries, whose destructors might crash."""
    logging.shutdown()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    drain_standard_error()
    os._exit(code)


def drain_standard_error() -> None:
    """Have what was printed written before this program ends or becomes another one."""
    if isinstance(sys.stderr, UnblockedStream):
        sys.stderr.drain(_END_S)
    else:
        sys.stderr.flush()
