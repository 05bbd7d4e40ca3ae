"""Lines that a worker writes to standard error, read without ever waiting or falling behind."""

import os
from contextlib import suppress

_CHUNK = 2**16
_MAX_CHUNKS = 8
"""So much is read at once; a worker that writes more than that waits."""
_MAX_LINE = 2000
"""Bytes of a line that are kept."""


class StderrLines:
    """Splits what comes from a pipe into lines, with a bound on the length of each."""

    def __init__(self, descriptor: int) -> None:
        """Take the reading end of a pipe, which is not closed here."""
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._begun = b""
        """The beginning of the line whose end has not come."""

    def read(self) -> list[str]:
        """Return the lines that have come to their end, each cut to its limit."""
        found: list[str] = []
        with suppress(BlockingIOError):
            for _ in range(_MAX_CHUNKS):
                chunk = os.read(self._descriptor, _CHUNK)
                if not chunk:
                    break
                *ended, begun = chunk.split(b"\n")
                if ended:
                    ended[0] = self._begun + ended[0]
                    self._begun = b""
                    found += [line[:_MAX_LINE].decode(errors="replace") for line in ended]
                self._begun = (self._begun + begun)[:_MAX_LINE]
        return found
