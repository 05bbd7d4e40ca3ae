"""The workers of one stage that all streams share, and the frames that wait for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import zmq

from icstream.pipeline.hub.dispatch import Send, send_frame
from icstream.pipeline.hub.fair_queue import FairQueue
from icstream.pipeline.hub.lease import Lease, LeaseState
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.frames import received_arrays
from icstream.pipeline.wire.messages import Done, Failed, WarmedUp, WarmUp, WireError

_DEPTH = 2
"""Frames that a worker has at once: one in progress and one queued."""
_QUICK = 0.1
"""A stage is quick for a stream if it takes less than this share of a frame's greatest age."""
_MAX_CRASHES = 3
"""A frame on which so many processes ended by their own doing fails."""

_NEEDS = {"preprocess": ("image", "canvas"), "segment": ("prepared",)}
"""The arrays that a stage needs. A canvas that is the network's input stands for `prepared`."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A frame that waited, and is too old now that a newer one was handed out."""

    stream: StreamState
    lease: Lease


@dataclass(frozen=True, slots=True)
class FailedFrame:
    """A frame that the stage could not process."""

    stream: StreamState
    lease: Lease
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A frame that was dropped while a worker had it, and that no worker uses any more."""

    stream: StreamState
    lease: Lease


Outcome: TypeAlias = Overtaken | FailedFrame | Returned
"""What became of a frame that the pool has parted with, for its stream's controller to act on."""


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
    ) -> None:
        """Start the workers.

        Args:
            stage: What they do.
            start: Starts a worker, given its number.
            count: How many there are.
            send: Sends them messages.
            successor: Gets the frames that are finished; None: the encode workers do.
        """
        self.stage = stage
        self._start = start
        self._send = send
        self._successor = successor
        self._waiting = FairQueue()
        self._service_s: float | None = None
        """What a frame has taken lately; None before the first."""
        self._held: dict[bytes, list[tuple[StreamState, Lease]]] = {}
        """The frames that each worker has, by its name."""
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
        return (stream, lease) in self._waiting or any(
            (stream, lease) in held for held in self._held.values()
        )

    def withdraw(self, stream: StreamState, lease: Lease) -> None:
        """Take a frame out of the queue, if it is in it."""
        self._waiting.remove(stream, lease)

    def is_staffed(self) -> bool:
        """Return whether a worker could begin with a frame at once."""
        return any(worker.ready and not worker.warming for worker in self.workers)

    def warm_up(self, worker: Worker, size: tuple[int, int]) -> None:
        """Have a worker prepare for frames of a size, if it can be reached."""
        if worker.connected:
            worker.warming.add(size)
            self._send(worker, WarmUp(size))

    def dispatch(self) -> list[Outcome]:
        """Hand out what waits, as far as workers have room; return what was overtaken."""
        outcomes: list[Outcome] = []
        ready = [worker for worker in self.workers if worker.ready and not worker.warming]
        while ready and (stream := self._waiting.next_stream()) is not None:
            worker = min(ready, key=lambda worker: len(self._held.get(worker.name, ())))
            held = self._held.setdefault(worker.name, [])
            if len(held) >= self._depth(stream):
                break
            lease, overtaken = self._waiting.take()
            outcomes += [Overtaken(stream, stale) for stale in overtaken]
            stream.leases.hold(lease)
            held.append((stream, lease))
            fields = _NEEDS[self.stage]
            if self.stage == "segment" and "prepared" not in lease.arrays:
                fields = ("canvas",)
            send_frame(self._send, worker, lease, fields)
        return outcomes

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
        """Hand out again, before all others, what a worker had that is gone."""
        outcomes: list[Outcome] = []
        held = self._held.pop(worker.name, [])
        retried = []
        for place, (stream, lease) in enumerate(held):
            if lease.state is LeaseState.ABANDONED:
                outcomes.append(self._return(stream, lease))
                continue
            stream.leases.hand_out_again(lease, crashed=crashed and place == 0)
            if lease.num_crashes >= _MAX_CRASHES:
                reason, detail = f"{self.stage} crashed", "its worker crashed on it every time"
                outcomes.append(FailedFrame(stream, lease, reason, detail))
            else:
                retried.append((stream, lease))
        for stream, lease in reversed(retried):
            self._waiting.put_back(stream, lease)
        return outcomes

    def replace(self, worker: Worker) -> None:
        """Start a worker in the place of a lost one.

        Raises:
            OSError: The system has no room for another process.
        """
        number = self.workers.index(worker)
        self.workers[number] = self._start(number)

    def _depth(self, stream: StreamState) -> int:
        """Return how many frames a worker may have once it gets one of this stream.

        A fresh frame that waited in a worker for a slow one could not be overtaken any more.
        """
        plan, service_s = stream.plan, self._service_s
        if plan.freshest and (service_s is None or service_s > _QUICK * plan.settings.max_age_s):
            return 1
        return _DEPTH

    def _take_done(self, worker: Worker, body: Done, payload: list[zmq.Frame]) -> list[Outcome]:
        found = self._find(worker, body.stream, body.index)
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
            self._note_service(body.served.stop - body.served.start)
            if self._successor is not None:
                self._successor.add(stream, lease)
        self._held[worker.name].remove(found)
        return [self._return(stream, lease)] if lease.state is LeaseState.ABANDONED else []

    def _take_failed(self, worker: Worker, body: Failed, _: list[zmq.Frame]) -> list[Outcome]:
        found = self._find(worker, body.stream, body.index)
        if found is None:
            return []
        self._held[worker.name].remove(found)
        stream, lease = found
        if lease.state is LeaseState.ABANDONED:
            return [self._return(stream, lease)]
        return [FailedFrame(stream, lease, body.reason, body.detail)]

    def _take_warmed_up(self, worker: Worker, body: WarmedUp, _: list[zmq.Frame]) -> list[Outcome]:
        worker.warming.discard(body.size)
        return []

    def _find(self, worker: Worker, stream: str, index: int) -> tuple[StreamState, Lease] | None:
        """Return a frame that a worker has; None if it does not have it."""
        for found in self._held.get(worker.name, ()):
            if found[0].name == stream and found[1].meta.index == index:
                return found
        return None

    @staticmethod
    def _return(stream: StreamState, lease: Lease) -> Returned:
        stream.leases.note_returned(lease)
        return Returned(stream, lease)

    def _note_service(self, took_s: float) -> None:
        before_s = took_s if self._service_s is None else self._service_s
        self._service_s = 0.8 * before_s + 0.2 * took_s


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

    def warm_up(self, size: tuple[int, int]) -> None:
        """Have the network's workers prepare for frames of a size."""
        pool = self._pools["segment"]
        for worker in pool.workers:
            pool.warm_up(worker, size)

    def dispatch(self) -> list[Outcome]:
        """Hand out what waits in each pool."""
        return [outcome for pool in self._pools.values() for outcome in pool.dispatch()]
