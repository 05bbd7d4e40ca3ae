"""Frames that wait for the workers of a stage; the streams take turns."""

from collections import OrderedDict, deque

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState

_PATIENCE = 32
"""So many frames at most go before one that was set aside."""


class FairQueue:
    """A queue for each stream, served one after another.

    Of a stream that wants the freshest, the newest frame goes first, and those before it go no
    further. Frames on which workers were lost are set aside, and wait until no other does, or until
    many others have passed them.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[StreamState, deque[Lease]] = OrderedDict()
        self._aside: deque[tuple[StreamState, Lease]] = deque()
        self._num_passed = 0
        """Frames taken since one that was set aside was taken."""

    def __contains__(self, waiting: tuple[StreamState, Lease]) -> bool:
        stream, lease = waiting
        return lease in self._queues.get(stream, ()) or waiting in self._aside

    def add(self, stream: StreamState, lease: Lease) -> None:
        """Let a frame wait behind the others of its stream."""
        self._queues.setdefault(stream, deque()).append(lease)

    def put_back(self, stream: StreamState, lease: Lease) -> None:
        """Let a frame wait before all others, of any stream."""
        self._queues.setdefault(stream, deque()).appendleft(lease)
        self._queues.move_to_end(stream, last=False)

    def set_aside(self, stream: StreamState, lease: Lease) -> None:
        """Let a frame wait until it can be tried alone."""
        self._aside.append((stream, lease))

    def next_aside(self) -> tuple[StreamState, Lease] | None:
        """Return the frame to be tried alone now; None if there is none, or others go first."""
        if not self._aside or (self._queues and self._num_passed < _PATIENCE):
            return None
        return self._aside[0]

    def take_aside(self) -> None:
        """Take that frame out."""
        self._aside.popleft()
        self._num_passed = 0

    def remove(self, stream: StreamState, lease: Lease) -> None:
        """Take a frame out, if it waits."""
        if (stream, lease) in self._aside:
            self._aside.remove((stream, lease))
        elif (stream, lease) in self:
            self._queues[stream].remove(lease)
            if not self._queues[stream]:
                del self._queues[stream]

    def streams(self) -> list[StreamState]:
        """Return the streams that wait, as they are now, the one whose turn it is first."""
        return list(self._queues)

    def next_of(self, stream: StreamState) -> Lease | None:
        """Return the frame of a stream that `take` would return; None if none waits."""
        queue = self._queues.get(stream)
        if not queue:
            return None
        return queue[-1 if stream.plan.freshest else 0]

    def take(self, stream: StreamState) -> tuple[Lease, list[Lease]]:
        """Return the next frame of a stream, and those that it overtakes.

        All of them are out of the queue then, and the stream has had its turn.
        """
        queue = self._queues.pop(stream)
        self._num_passed += 1
        overtaken = []
        if stream.plan.freshest:
            while len(queue) > 1:
                overtaken.append(queue.popleft())
        lease = queue.popleft()
        if queue:
            self._queues[stream] = queue
        return lease, overtaken
