"""Frames that wait for the workers of a stage; the streams take turns."""

from collections import OrderedDict, deque

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState


class FairQueue:
    """A queue for each stream, served one after another.

    Of a stream that wants the freshest, the newest frame goes first, and those before it go no
    further.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[StreamState, deque[Lease]] = OrderedDict()

    def __contains__(self, waiting: tuple[StreamState, Lease]) -> bool:
        stream, lease = waiting
        return lease in self._queues.get(stream, ())

    def add(self, stream: StreamState, lease: Lease) -> None:
        """Let a frame wait behind the others of its stream."""
        self._queues.setdefault(stream, deque()).append(lease)

    def put_back(self, stream: StreamState, lease: Lease) -> None:
        """Let a frame wait before all others, of any stream."""
        self._queues.setdefault(stream, deque()).appendleft(lease)
        self._queues.move_to_end(stream, last=False)

    def remove(self, stream: StreamState, lease: Lease) -> None:
        """Take a frame out, if it waits."""
        if (stream, lease) in self:
            self._queues[stream].remove(lease)
            if not self._queues[stream]:
                del self._queues[stream]

    def next_stream(self) -> StreamState | None:
        """Return the stream whose turn it is; None if nothing waits."""
        return next(iter(self._queues), None)

    def take(self) -> tuple[Lease, list[Lease]]:
        """Return the next frame of the stream whose turn it is, and those that it overtakes.

        All of them are out of the queue then, and the turn passes on.
        """
        stream, queue = self._queues.popitem(last=False)
        overtaken = []
        if stream.plan.freshest:
            while len(queue) > 1:
                overtaken.append(queue.popleft())
        lease = queue.popleft()
        if queue:
            self._queues[stream] = queue
        return lease, overtaken
