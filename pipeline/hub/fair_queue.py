"""Frames that wait for the workers of a stage; the streams take turns."""

from collections import OrderedDict, deque

from icstream.pipeline.hub.lease_table import Lease
from icstream.pipeline.hub.stream_controller import Flow


class Turns:
    """A queue for each stream, served one after another.

    Of a stream that wants the freshest, the newest frame goes first, and those before it go no
    further.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[Flow, deque[Lease]] = OrderedDict()

    def __contains__(self, waiting: tuple[Flow, Lease]) -> bool:
        flow, lease = waiting
        return lease in self._queues.get(flow, ())

    def add(self, flow: Flow, lease: Lease) -> None:
        """Lets a frame wait behind the others of its stream."""
        self._queues.setdefault(flow, deque()).append(lease)

    def put_back(self, flow: Flow, lease: Lease) -> None:
        """Lets a frame wait before all others, of any stream."""
        self._queues.setdefault(flow, deque()).appendleft(lease)
        self._queues.move_to_end(flow, last=False)

    def remove(self, flow: Flow, lease: Lease) -> None:
        """Takes a frame out, if it waits."""
        if (flow, lease) in self:
            self._queues[flow].remove(lease)
            if not self._queues[flow]:
                del self._queues[flow]

    def next_flow(self) -> Flow | None:
        """Gives the stream whose turn it is."""
        return next(iter(self._queues), None)

    def take(self, flow: Flow) -> Lease:
        """Gives the next frame of a stream that has one, and passes its turn on."""
        queue = self._queues[flow]
        if not flow.stream.pace.freshest:
            lease = queue[0]
        else:
            *older, lease = queue
            for stale in older:
                flow.drop(stale, "stale")
        self.remove(flow, lease)
        if flow in self._queues:
            self._queues.move_to_end(flow)
        return lease
