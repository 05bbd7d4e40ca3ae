"""Frames that wait for the workers of a stage; the streams take turns."""

from collections import OrderedDict, deque

from icstream.pipeline.hub.lease_table import Lease
from icstream.pipeline.hub.stream_controller import StreamController


class FairQueue:
    """A queue for each stream, served one after another.

    Of a stream that wants the freshest, the newest frame goes first, and those before it go no
    further.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[StreamController, deque[Lease]] = OrderedDict()

    def __contains__(self, waiting: tuple[StreamController, Lease]) -> bool:
        controller, lease = waiting
        return lease in self._queues.get(controller, ())

    def add(self, controller: StreamController, lease: Lease) -> None:
        """Lets a frame wait behind the others of its stream."""
        self._queues.setdefault(controller, deque()).append(lease)

    def put_back(self, controller: StreamController, lease: Lease) -> None:
        """Lets a frame wait before all others, of any stream."""
        self._queues.setdefault(controller, deque()).appendleft(lease)
        self._queues.move_to_end(controller, last=False)

    def remove(self, controller: StreamController, lease: Lease) -> None:
        """Takes a frame out, if it waits."""
        if (controller, lease) in self:
            self._queues[controller].remove(lease)
            if not self._queues[controller]:
                del self._queues[controller]

    def next_stream(self) -> StreamController | None:
        """Gives the stream whose turn it is."""
        return next(iter(self._queues), None)

    def take(self, controller: StreamController) -> Lease:
        """Gives the next frame of a stream that has one, and passes its turn on."""
        queue = self._queues[controller]
        if not controller.stream.pace.freshest:
            lease = queue[0]
        else:
            *older, lease = queue
            for stale in older:
                controller.drop(stale, "stale")
        self.remove(controller, lease)
        if controller in self._queues:
            self._queues.move_to_end(controller)
        return lease
