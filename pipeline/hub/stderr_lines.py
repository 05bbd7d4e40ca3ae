"""Bounded, non-blocking reading of a worker's standard error."""

import os
from contextlib import suppress

_CHUNK = 2**16
_MAX_CHUNKS = 8
"""Most chunks that are read at once; a worker that writes more waits."""
_MAX_LINE = 2000
"""Most bytes of a line that are kept."""


class StderrLines:
    """Splits the output of a pipe into lines of bounded length."""

    def __init__(self, descriptor: int) -> None:
        """Use the reading end of a pipe, which is not closed here."""
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._begun = b""
        """Beginning of an incomplete line."""

    def read(self) -> list[str]:
        """Return the complete lines, each cut to its limit."""
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
