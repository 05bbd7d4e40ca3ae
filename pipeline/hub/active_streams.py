"""The active streams of a run, and the recordings that wait to begin."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator

from icstream.pipeline.hub.controller_context import ControllerContext
from icstream.pipeline.hub.outcomes import FailedFrame, Outcome, Overtaken, Returned
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_controller import StreamController
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker

log = logging.getLogger(__name__)


class ActiveStreams:
    """The controllers of the active streams, and the recordings that wait.

    Attributes:
        waiting: Recordings that have not begun yet.
    """

    def __init__(self, context: ControllerContext) -> None:
        self.waiting: deque[StreamState] = deque()
        self._context = context
        self._controllers: dict[StreamState, StreamController] = {}

    def __iter__(self) -> Iterator[StreamController]:
        """Iterate over a snapshot of the controllers."""
        return iter(list(self._controllers.values()))

    def __bool__(self) -> bool:
        return bool(self._controllers or self.waiting)

    @property
    def num_recordings(self) -> int:
        """The number of active recordings."""
        return sum(not stream.is_live for stream in self._controllers)

    def begin(self, stream: StreamState) -> None:
        """Start the workers of a stream.

        Raises:
            OSError: The system cannot start another process.
        """
        self._controllers[stream] = StreamController(stream, self._context)

    def owner(self, worker: Worker) -> StreamController | None:
        """Return the controller of the stream that a worker belongs to, or None."""
        for controller in self._controllers.values():
            if controller.owns(worker):
                return controller
        return None

    def settle(self, outcomes: Iterable[Outcome]) -> None:
        """Handle the outcomes of frames that shared workers had."""
        for outcome in outcomes:
            controller = self._controllers.get(outcome.stream)
            if controller is None:  # the frame was dropped with its stream
                self._context.slots.give_back([outcome.lease.slot])
                continue
            match outcome:
                case Overtaken():
                    controller.frames.drop(outcome.lease, "stale")
                case FailedFrame():
                    controller.frames.fail(outcome.lease, outcome.reason, outcome.detail)
                case Returned():
                    controller.frames.release_slot(outcome.lease)

    def audit(self) -> None:
        """Check that every frame in flight is where its lease states."""
        for stream in self._controllers:
            for lease in stream.leases:
                if self._context.pools.has_lost(stream, lease):
                    log.error("%s: frame %d vanished", stream.name, lease.meta.index)
                    stream.leases.note_vanished(lease)

    def end(self, *, to: Phase) -> None:
        """Begin no more streams, and move the active ones at least to the given phase."""
        self.waiting.clear()
        for controller in self:
            controller.end(to=to)

    def remove_closed(self) -> None:
        """Remove the streams that are closed."""
        for stream in [s for s in self._controllers if s.phase is Phase.CLOSED]:
            del self._controllers[stream]
            self._context.pools.forget(stream)
