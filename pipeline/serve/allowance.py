"""How long a request may be worked on, and whether anybody still waits for it."""

import time

from icstream.pipeline.serve.errors import RefusedError


class AbandonedError(Exception):
    """Nobody waits for the work any more: its client has gone, or the service stops."""


class Allowance:
    """What the work of one request may take; the work looks at it between its steps."""

    def __init__(self, work_s: float) -> None:
        """Make an allowance of so many seconds, which `begin` lets run."""
        self._work_s = work_s
        self._deadline: float | None = None
        self._cancelled = False

    def begin(self) -> None:
        """Start the time."""
        self._deadline = time.monotonic() + self._work_s

    def cancel(self) -> None:
        """End the work at its next step; may be called from any thread."""
        self._cancelled = True

    def check(self) -> None:
        """Let the work go on.

        Raises:
            AbandonedError: nobody waits for it.
            RefusedError: it takes too long.
        """
        if self._cancelled:
            raise AbandonedError
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise RefusedError(
                "too_much_work", f"not done after the allowed {self._work_s:g} s (limits.work_s)"
            )
