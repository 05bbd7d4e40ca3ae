"""The end of a run, on request or after an error."""

import logging
import math
import time

from icstream.pipeline.hub.active_streams import ActiveStreams
from icstream.pipeline.hub.phase import Phase

log = logging.getLogger(__name__)

_MAX_CLOSE_S = 1.0
"""Longest time, in seconds, for files to close once frames in flight are abandoned."""


class Shutdown:
    """Ends the streams of a run in steps, each with a time limit.

    Streams first stop reading and drain, then close their files without unwritten frames, and are
    finally closed as they are.

    Attributes:
        error: Reason why the run was aborted, or None.
    """

    def __init__(self, streams: ActiveStreams) -> None:
        self.error: str | None = None
        self._streams = streams
        self._to = Phase.STOPPING
        """Phase that the streams are being moved to."""
        self._deadline_s = math.inf

    @property
    def has_begun(self) -> bool:
        """Whether the run is ending before all streams have ended."""
        return self._deadline_s < math.inf

    def begin(self, error: str | None = None, *, drain_s: float) -> None:
        """Stop reading frames.

        Args:
            error: The reason why the run is aborted; None if it is stopped on request.
            drain_s: The longest time, in seconds, for frames in flight to be written.
        """
        if error and self.error is None:
            self.error = error
            log.error("%s", error)
        self._deadline_s = min(self._deadline_s, time.monotonic() + drain_s)
        self._streams.end(to=self._to)

    def tick(self) -> None:
        """Continue with the next step if the time limit of the present one has passed."""
        if time.monotonic() > self._deadline_s:
            self._to = Phase.CLOSING if self._to is Phase.STOPPING else Phase.CLOSED
            self._deadline_s = time.monotonic() + _MAX_CLOSE_S
            self._streams.end(to=self._to)
