"""The workers of one stage that all streams share, and the frames that wait for them."""

from collections.abc import Callable
from typing import Any, Literal

import zmq

from icstream.pipeline.hub.dispatch import Send, send_frame
from icstream.pipeline.hub.fair_queue import FairQueue
from icstream.pipeline.hub.held_frames import HeldFrames
from icstream.pipeline.hub.lease import Lease, LeaseState
from icstream.pipeline.hub.losses import UnusableSizes
from icstream.pipeline.hub.network_sizes import EverySize, NetworkSizes
from icstream.pipeline.hub.outcomes import FailedFrame, Outcome, Returned
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.turn import Turn
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.frames import received_arrays
from icstream.pipeline.wire.messages import Done, Failed, WarmedUp, WireError
from icstream.stages.items import Size

_NEEDS = {"preprocess": ("image", "canvas"), "segment": ("prepared",)}
"""Arrays that each stage needs; a canvas that already is the network's input replaces
`prepared`."""


class WorkerPool:
    """A pool that hands out frames, taking turns between streams, to the least busy worker.

    Attributes:
        stage: The stage of the workers.
        workers: The workers, where a replacement takes the place of a lost one.
    """

    def __init__(
        self,
        stage: Literal["preprocess", "segment"],
        start: Callable[[int], Worker],
        *,
        count: int,
        send: Send,
        successor: "WorkerPool | None" = None,
        sizes: NetworkSizes | EverySize | None = None,
    ) -> None:
        """Start the workers.

        Args:
            stage: The stage of the workers.
            start: A function that starts the worker with a number.
            count: The number of workers.
            send: The function that sends messages to workers.
            successor: The pool that gets finished frames; None for the encode workers.
            sizes: The sizes that workers are prepared for; None if all take all sizes.
        """
        self.stage = stage
        self._start = start
        self._send = send
        self._successor = successor
        self._waiting = FairQueue()
        self._sizes = sizes or EverySize()
        self._unusable = UnusableSizes()
        self._held = HeldFrames()
        self._handlers: dict[type, Callable[[Worker, Any, list[zmq.Frame]], list[Outcome]]] = {
            Done: self._take_done,
            Failed: self._take_failed,
            WarmedUp: self._take_warmed_up,
        }
        self.workers = [start(number) for number in range(count)]

    def add(self, stream: StreamState, lease: Lease) -> None:
        """Add a frame to the queue."""
        self._waiting.add(stream, lease)

    def has(self, stream: StreamState, lease: Lease) -> bool:
        """Return whether the frame is in the queue, or a worker of this pool has it."""
        return (stream, lease) in self._waiting or (stream, lease) in self._held

    def withdraw(self, stream: StreamState, lease: Lease) -> None:
        """Remove a frame from the queue if it is there."""
        self._waiting.remove(stream, lease)

    def is_staffed(self) -> bool:
        """Return whether a worker could start on a frame at once."""
        return any(worker.ready and not worker.warming for worker in self.workers)

    def announce(self, stream: StreamState, size: Size) -> None:
        """Have a worker prepare for frames of a size that will come soon."""
        if size not in self._unusable:
            self._sizes.announce(stream, size)

    def is_settled(self, size: Size) -> bool:
        """Return whether a worker takes frames of a size, or it is known that none will."""
        return size in self._unusable or self._sizes.is_settled(self.workers, size)

    def forget(self, stream: StreamState) -> None:
        """Record that a stream has ended."""
        self._sizes.forget(stream)

    def dispatch(self) -> list[Outcome]:
        """Hand out waiting frames to workers with room; return the outcomes of the others."""
        turn = Turn(
            self._waiting,
            self._held,
            self._sizes,
            self._unusable,
            [worker for worker in self.workers if worker.ready and not worker.warming],
            self._hand_out,
            self._why_lost,
        )
        turn.run()
        demands = list(turn.demands.values())
        turn.refuse(self._sizes.assign(self.workers, demands, send=self._send))
        return turn.outcomes

    def take(self, worker: Worker, body: Any, payload: list[zmq.Frame]) -> list[Outcome]:
        """Handle a message from one of the workers.

        Raises:
            WireError: These workers do not send such messages, or its arrays are misplaced.
        """
        handler = self._handlers.get(type(body))
        if handler is None:
            raise WireError(f"{worker.label} sent {type(body).__name__}")
        return handler(worker, body, payload)

    def lose(self, worker: Worker, *, crashed: bool) -> list[Outcome]:
        """Hand out a lost worker's frames again, before all others.

        A frame at which workers are repeatedly lost fails; after a few losses it is tried alone,
        after
        all others. A size is treated likewise if workers are lost while preparing for it.
        """
        outcomes: list[Outcome] = []
        held = self._held.take_all(worker)
        if held:
            held[0][1].losses.add(crashed=crashed)
        elif worker.warming:
            size = next(iter(worker.warming))
            if self._unusable.note_loss(size, crashed=crashed):
                self._sizes.withdraw(size)
                worker.gain()
        self._sizes.lose(worker)
        for stream, lease in reversed(held):
            if lease.state is LeaseState.ABANDONED:
                outcomes.append(self._return(stream, lease))
                continue
            stream.leases.hand_out_again(lease)
            if lease.losses.are_too_many:
                self._unusable.note_failed(lease.meta.size, worker)
                outcomes.append(FailedFrame(stream, lease, *self._why_lost("at it")))
            elif lease.losses.is_suspect:
                self._waiting.set_aside(stream, lease)
            else:
                self._waiting.put_back(stream, lease)
        return outcomes

    def replace(self, worker: Worker) -> None:
        """Start a worker in place of a lost one."""
        number = self.workers.index(worker)
        self.workers[number] = self._start(number)

    def _hand_out(self, worker: Worker, stream: StreamState, lease: Lease) -> None:
        stream.leases.hold(lease)
        self._held.add(worker, stream, lease)
        self._sizes.note_use(worker, lease.meta.size)
        fields = _NEEDS[self.stage]
        if self.stage == "segment" and "prepared" not in lease.arrays:
            fields = ("canvas",)
        send_frame(self._send, worker, lease, fields)

    def _why_lost(self, place: str) -> tuple[str, str]:
        """Return the short and the full reason for failing a frame at which workers were lost."""
        detail = f"{self.stage} workers were repeatedly lost {place}"
        return f"{self.stage} crashed", detail

    def _take_done(self, worker: Worker, body: Done, payload: list[zmq.Frame]) -> list[Outcome]:
        found = self._held.find(worker, body.stream, body.index)
        if found is None:
            return []
        stream, lease = found
        if lease.state is LeaseState.HELD:
            arrays = received_arrays(lease.slot, body.arrays, payload)
            stream.leases.finish(
                lease,
                arrays=arrays,
                geometry=body.geometry,
                served=body.served,
                keep_image=stream.wants_image,
            )
            self._held.note_service(body.served.stop - body.served.start)
            if self._successor is not None:
                self._successor.add(stream, lease)
        self._held.take(worker, found)
        worker.gain()
        self._unusable.note_used(lease.meta.size)
        return [self._return(stream, lease)] if lease.state is LeaseState.ABANDONED else []

    def _take_failed(self, worker: Worker, body: Failed, _: list[zmq.Frame]) -> list[Outcome]:
        found = self._held.find(worker, body.stream, body.index)
        if found is None:
            return []
        self._held.take(worker, found)
        worker.gain()
        stream, lease = found
        if lease.state is LeaseState.ABANDONED:
            return [self._return(stream, lease)]
        return [FailedFrame(stream, lease, body.reason, body.detail)]

    def _take_warmed_up(self, worker: Worker, body: WarmedUp, _: list[zmq.Frame]) -> list[Outcome]:
        worker.warming.pop(body.size, None)
        self._sizes.finish(worker)
        worker.gain()
        self._unusable.note_used(body.size)
        return []

    @staticmethod
    def _return(stream: StreamState, lease: Lease) -> Returned:
        stream.leases.note_returned(lease)
        return Returned(stream, lease)


class SharedPools:
    """The pools of the stages that all streams share."""

    def __init__(self, *pools: WorkerPool) -> None:
        """Store the pools; the first one hands out its frames first."""
        self._pools: dict[str, WorkerPool] = {pool.stage: pool for pool in pools}

    def __getitem__(self, stage: str) -> WorkerPool:
        return self._pools[stage]

    def get(self, kind: str) -> WorkerPool | None:
        """Return the pool of a kind of worker, or None if that kind has none."""
        return self._pools.get(kind)

    def add(self, stream: StreamState, lease: Lease) -> None:
        """Add a frame to the queue of its stage."""
        self._pools[lease.stage].add(stream, lease)

    def withdraw(self, stream: StreamState, lease: Lease) -> None:
        """Remove a frame from the queue of its stage if it is there."""
        if lease.stage in self._pools:
            self._pools[lease.stage].withdraw(stream, lease)

    def has_lost(self, stream: StreamState, lease: Lease) -> bool:
        """Return whether a frame should be in one of the pools but is not."""
        pool = self._pools.get(lease.stage)
        return pool is not None and not pool.has(stream, lease)

    def are_staffed(self) -> bool:
        """Return whether every stage has a worker that could start on a frame at once."""
        return all(pool.is_staffed() for pool in self._pools.values())

    def announce(self, stream: StreamState, size: Size) -> None:
        """Have the network prepare for frames of a size that will come soon."""
        self._pools["segment"].announce(stream, size)

    def are_ready_for(self, size: Size) -> bool:
        """Return whether frames of a size could be processed at once, or never can be."""
        return self.are_staffed() and self._pools["segment"].is_settled(size)

    def forget(self, stream: StreamState) -> None:
        """Record that a stream has ended."""
        self._pools["segment"].forget(stream)

    def dispatch(self) -> list[Outcome]:
        """Hand out waiting frames in each pool, and return the outcomes of the others."""
        return [outcome for pool in self._pools.values() for outcome in pool.dispatch()]
