"""The time limit and the cancellation of a request's work."""

import time

from icstream.pipeline.serve.errors import RefusedError


class AbandonedError(Exception):
    """Raised in work that nobody waits for, because its client is gone or the service stops."""


class Allowance:
    """The limits of one request's work, which the work checks between its steps."""

    def __init__(self, work_s: float) -> None:
        """Create an allowance of some seconds, which starts with `begin`."""
        self._work_s = work_s
        self._deadline: float | None = None
        self._cancelled = False

    def begin(self) -> None:
        """Start the time."""
        self._deadline = time.monotonic() + self._work_s

    def cancel(self) -> None:
        """End the work at its next check; may be called from any thread."""
        self._cancelled = True

    def check(self) -> None:
        """Check that the work may continue.

        Raises:
            AbandonedError: nobody waits for it.
            RefusedError: it takes too long.
        """
        if self._cancelled:
            raise AbandonedError
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise RefusedError(
                "too_much_work",
                f"not finished within the allowed {self._work_s:g} s (limits.work_s)",
            )
