"""The end of a run, by request or because it cannot go on."""

import logging
import math
import time

from icstream.pipeline.hub.active_streams import ActiveStreams
from icstream.pipeline.hub.phase import Phase

log = logging.getLogger(__name__)

_MAX_CLOSE_S = 1.0
"""How long files may take to close once frames in flight are given up."""


class Shutdown:
    """Ends the streams of a run in steps, each with a time limit.

    They stop and drain first, then they close their files without what is not written yet, and at
    last they are closed as they are.

    Attributes:
        error: Why the run was given up; None if it was not.
    """

    def __init__(self, streams: ActiveStreams) -> None:
        self.error: str | None = None
        self._streams = streams
        self._to = Phase.STOPPING
        """How far the streams were asked to go."""
        self._deadline_s = math.inf

    @property
    def has_begun(self) -> bool:
        """Whether the run is to end before all streams are through."""
        return self._deadline_s < math.inf

    def begin(self, error: str | None = None, *, drain_s: float) -> None:
        """Let no more frames in.

        Args:
            error: Why the run cannot go on; None if it is asked to stop.
            drain_s: How long frames in flight may take to get into the files.
        """
        if error and self.error is None:
            self.error = error
            log.error("%s", error)
        self._deadline_s = min(self._deadline_s, time.monotonic() + drain_s)
        self._streams.end(to=self._to)

    def tick(self) -> None:
        """Go on to the next step if the time for this one is over."""
        if time.monotonic() > self._deadline_s:
            self._to = Phase.CLOSING if self._to is Phase.STOPPING else Phase.CLOSED
            self._deadline_s = time.monotonic() + _MAX_CLOSE_S
            self._streams.end(to=self._to)
