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
"""The arrays that a stage needs. A canvas that is the network's input stands for `prepared`."""


class WorkerPool:
    """Hands out frames, stream by stream, to the worker that has the fewest.

    Attributes:
        stage: What the workers do.
        workers: The workers; the place of one that is lost is taken by another.
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
            stage: What they do.
            start: Starts a worker, given its number.
            count: How many there are.
            send: Sends them messages.
            successor: Gets the frames that are finished; None: the encode workers do.
            sizes: Which workers take frames of which size; None: all take all.
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
        """Let a frame wait for its turn."""
        self._waiting.add(stream, lease)

    def has(self, stream: StreamState, lease: Lease) -> bool:
        """Return whether the frame waits here, or one of the workers has it."""
        return (stream, lease) in self._waiting or (stream, lease) in self._held

    def withdraw(self, stream: StreamState, lease: Lease) -> None:
        """Take a frame out of the queue, if it is in it."""
        self._waiting.remove(stream, lease)

    def is_staffed(self) -> bool:
        """Return whether a worker could begin with a frame at once."""
        return any(worker.ready and not worker.warming for worker in self.workers)

    def announce(self, stream: StreamState, size: Size) -> None:
        """Have a worker prepare for frames of a size, which will come soon."""
        if size not in self._unusable:
            self._sizes.announce(stream, size)

    def is_settled(self, size: Size) -> bool:
        """Return whether a worker takes frames of a size, or it is known that none will."""
        return size in self._unusable or self._sizes.is_settled(self.workers, size)

    def forget(self, stream: StreamState) -> None:
        """Note that a stream has ended."""
        self._sizes.forget(stream)

    def dispatch(self) -> list[Outcome]:
        """Hand out what waits, as far as workers have room; return what was overtaken."""
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
        """Act on a message from one of the workers.

        Raises:
            WireError: It is not one that they send, or its arrays are not where it says.
        """
        handler = self._handlers.get(type(body))
        if handler is None:
            raise WireError(f"{worker.label} sent {type(body).__name__}")
        return handler(worker, body, payload)

    def lose(self, worker: Worker, *, crashed: bool) -> list[Outcome]:
        """Hand out again, before all others, what a worker had that is gone.

        A frame on which workers are lost every time fails, and one on which several were lost is
        tried alone, after all others. So is a size that workers do not survive preparing for.
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
                outcomes.append(FailedFrame(stream, lease, *self._why_lost("it")))
            elif lease.losses.is_suspect:
                self._waiting.set_aside(stream, lease)
            else:
                self._waiting.put_back(stream, lease)
        return outcomes

    def replace(self, worker: Worker) -> None:
        """Start a worker in the place of a lost one.

        Raises:
            OSError: The system has no room for another process.
        """
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
        """Return the reason, in a few words and in full, of a frame that workers were lost at."""
        detail = f"its {self.stage} worker was lost at {place} every time"
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
    """The pools of all stages that streams share."""

    def __init__(self, *pools: WorkerPool) -> None:
        """Take the pools; the first one hands out its frames first."""
        self._pools: dict[str, WorkerPool] = {pool.stage: pool for pool in pools}

    def __getitem__(self, stage: str) -> WorkerPool:
        return self._pools[stage]

    def get(self, kind: str) -> WorkerPool | None:
        """Return the pool of that kind of worker; None if those belong to no pool."""
        return self._pools.get(kind)

    def add(self, stream: StreamState, lease: Lease) -> None:
        """Let a frame wait for a worker of its stage."""
        self._pools[lease.stage].add(stream, lease)

    def withdraw(self, stream: StreamState, lease: Lease) -> None:
        """Undo that, if it waits."""
        if lease.stage in self._pools:
            self._pools[lease.stage].withdraw(stream, lease)

    def has_lost(self, stream: StreamState, lease: Lease) -> bool:
        """Return whether a frame should be in one of the pools and is not."""
        pool = self._pools.get(lease.stage)
        return pool is not None and not pool.has(stream, lease)

    def are_staffed(self) -> bool:
        """Return whether every stage has a worker that could begin with a frame at once."""
        return all(pool.is_staffed() for pool in self._pools.values())

    def announce(self, stream: StreamState, size: Size) -> None:
        """Have the network prepare for frames of a size, which will come soon."""
        self._pools["segment"].announce(stream, size)

    def are_ready_for(self, size: Size) -> bool:
        """Return whether frames of a size could be processed at once, or never can."""
        return self.are_staffed() and self._pools["segment"].is_settled(size)

    def forget(self, stream: StreamState) -> None:
        """Note that a stream has ended."""
        self._pools["segment"].forget(stream)

    def dispatch(self) -> list[Outcome]:
        """Hand out what waits in each pool."""
        return [outcome for pool in self._pools.values() for outcome in pool.dispatch()]
