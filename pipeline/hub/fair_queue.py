"""Frames that wait for the workers of a stage, with streams taking turns."""

from collections import OrderedDict, deque

from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.stream_state import StreamState

_PATIENCE = 32
"""Most frames that are taken before one that was set aside."""


class FairQueue:
    """A queue per stream, with the streams served in turn.

    With the policy freshest, the newest frame of a stream goes first and the older ones are
    dropped. Frames at which workers were lost are set aside; they wait until the queues are empty
    or until many other frames have passed them.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[StreamState, deque[Lease]] = OrderedDict()
        self._aside: deque[tuple[StreamState, Lease]] = deque()
        self._num_passed = 0
        """Number of frames taken since the last frame that was set aside."""

    def __contains__(self, waiting: tuple[StreamState, Lease]) -> bool:
        stream, lease = waiting
        return lease in self._queues.get(stream, ()) or waiting in self._aside

    def add(self, stream: StreamState, lease: Lease) -> None:
        """Add a frame behind the others of its stream."""
        self._queues.setdefault(stream, deque()).append(lease)

    def put_back(self, stream: StreamState, lease: Lease) -> None:
        """Put a frame before all others, of any stream."""
        self._queues.setdefault(stream, deque()).appendleft(lease)
        self._queues.move_to_end(stream, last=False)

    def set_aside(self, stream: StreamState, lease: Lease) -> None:
        """Set a frame aside until it can be tried alone."""
        self._aside.append((stream, lease))

    def next_aside(self) -> tuple[StreamState, Lease] | None:
        """Return the frame to be tried alone now, or None if there is none or others go first."""
        if not self._aside or (self._queues and self._num_passed < _PATIENCE):
            return None
        return self._aside[0]

    def take_aside(self) -> None:
        """Remove the frame that `next_aside` returned."""
        self._aside.popleft()
        self._num_passed = 0

    def remove(self, stream: StreamState, lease: Lease) -> None:
        """Remove a frame if it is waiting."""
        if (stream, lease) in self._aside:
            self._aside.remove((stream, lease))
        elif (stream, lease) in self:
            self._queues[stream].remove(lease)
            if not self._queues[stream]:
                del self._queues[stream]

    def streams(self) -> list[StreamState]:
        """Return a snapshot of the streams with waiting frames, in the order of their turns."""
        return list(self._queues)

    def next_of(self, stream: StreamState) -> Lease | None:
        """Return the frame of a stream that `take` would return, or None if none is waiting."""
        queue = self._queues.get(stream)
        if not queue:
            return None
        return queue[-1 if stream.plan.freshest else 0]

    def take(self, stream: StreamState) -> tuple[Lease, list[Lease]]:
        """Remove and return the next frame of a stream, and the frames that it overtakes.

        The stream then goes to the end of the order.
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
