"""Standard output and standard error that may be closed or have a reader that stalls."""

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
"""Most pieces of text that wait to be written; a line has at most two."""
_END_S = 1.0
"""Longest time, in seconds, for the last lines to be written at the end of the process."""
_POLL_S = 0.01


class UnblockedStream(io.TextIOBase):
    """A stream whose `write` never blocks: a thread writes, and excess lines are discarded.

    The reader of standard error may stall, as a terminal does after Ctrl-S, or go away. Neither
    may block the one thread that serves all streams of a run, nor delay its end.
    """

    def __init__(self, stream: TextIO, *, max_waiting: int = _MAX_WAITING) -> None:
        self._stream = stream
        self._max_waiting = max_waiting
        # Of the queue classes, only this one is safe in a signal handler that interrupts itself.
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._num_left_out = 0
        self._is_writing = False
        self._is_gone = False
        self._pid = os.getpid()
        threading.Thread(target=self._write_all, name="standard error", daemon=True).start()

    def write(self, text: str) -> int:
        """Queue the text for writing, or discard it if too much is queued; never block."""
        if os.getpid() != self._pid:  # threads do not survive a fork
            return self._stream.write(text)
        if self._waiting.qsize() >= self._max_waiting:
            self._num_left_out += text.count("\n")
        elif not self._is_gone:
            self._waiting.put(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing, because waiting would block; use `drain` to wait."""

    def drain(self, timeout_s: float) -> None:
        """Wait until all text is written or the timeout, in seconds, has passed."""
        deadline = time.monotonic() + timeout_s
        while not self._is_gone and time.monotonic() < deadline:
            if self._waiting.empty() and not self._is_writing:
                return
            time.sleep(_POLL_S)

    def isatty(self) -> bool:
        """See base class."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """See base class."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """See base class."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """See base class."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """See base class."""
        return self._stream.errors

    def _write_all(self) -> None:
        while not self._is_gone:
            text = self._waiting.get()
            self._is_writing = True
            try:
                self._stream.write(text)
                self._stream.flush()
                self._tell_left_out()
            except (OSError, ValueError):  # the reader is gone, or the stream was closed
                self._is_gone = True
            self._is_writing = False

    def _tell_left_out(self) -> None:
        if self._num_left_out and self._waiting.empty():
            count, self._num_left_out = self._num_left_out, 0
            self._stream.write(f"icstream: {count} lines discarded here, as nothing read them\n")
            self._stream.flush()


def guard_standard_streams() -> None:
    """Replace closed standard streams by /dev/null, and make standard error non-blocking.

    Otherwise files that are opened later would get the descriptors 0, 1 and 2.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
    # Python sets streams to None that were closed when it started.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = UnblockedStream(sys.stderr or open(os.devnull, "w"))  # noqa: SIM115


def end_at_once(code: int) -> NoReturn:
    """End the process without waiting for library threads, whose destructors might crash."""
    logging.shutdown()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    drain_standard_error()
    os._exit(code)


def drain_standard_error() -> None:
    """Wait until printed text is written, before this process ends or executes another program."""
    if isinstance(sys.stderr, UnblockedStream):
        sys.stderr.drain(_END_S)
    else:
        sys.stderr.flush()
