"""The workers of one stage that all streams share, and the frames that wait for them."""

from collections.abc import Callable
from typing import Literal

import zmq

from icstream.pipeline.hub.dispatch import Send, send_frame
from icstream.pipeline.hub.fair_queue import FairQueue
from icstream.pipeline.hub.lease_table import Lease, LeaseState
from icstream.pipeline.hub.processes import Worker
from icstream.pipeline.hub.stream_controller import StreamController
from icstream.pipeline.wire.frames import received_arrays
from icstream.pipeline.wire.messages import Done, Failed

_DEPTH = 2
"""Frames that a worker has at once: one under its hands and one to go on with."""
_QUICK = 0.1
"""A stage is quick for a stream if it takes less than this share of a frame's greatest age."""
_MAX_CRASHES = 3
"""A frame on which so many processes ended by their own doing is given up."""

_NEEDS = {"preprocess": ("image", "canvas"), "segment": ("prepared",)}
"""Of the arrays of a frame. A canvas that is the network's input stands for `prepared`."""


class WorkerPool:
    """Hands out frames, stream by stream, to whoever has least to do.

    Attributes:
        workers: of the stage; the place of one that is lost is taken by another.
    """

    def __init__(
        self,
        stage: Literal["preprocess", "segment"],
        start: Callable[[int], Worker],
        *,
        count: int,
        send: Send,
    ) -> None:
        """Starts the workers; `start` is told their number."""
        self._stage = stage
        self._start = start
        self._send = send
        self._waiting = FairQueue()
        self._service_s: float | None = None
        """What a frame has taken lately; None before the first."""
        self._held: dict[bytes, list[tuple[StreamController, Lease]]] = {}
        self.workers = [start(number) for number in range(count)]

    def add(self, controller: StreamController, lease: Lease) -> None:
        """Lets a frame wait for its turn."""
        self._waiting.add(controller, lease)

    def has(self, controller: StreamController, lease: Lease) -> bool:
        """True if the frame waits here, or one of the workers has it."""
        return (controller, lease) in self._waiting or any(
            (controller, lease) in held for held in self._held.values()
        )

    def withdraw(self, controller: StreamController, lease: Lease) -> None:
        """Takes a frame out of the queue, if it is in it."""
        self._waiting.remove(controller, lease)

    def dispatch(self) -> None:
        """Hands out what waits, as far as there are hands."""
        ready = [worker for worker in self.workers if worker.ready and not worker.warming]
        while ready and (controller := self._waiting.next_stream()) is not None:
            worker = min(ready, key=lambda worker: len(self._held.get(worker.name, ())))
            held = self._held.setdefault(worker.name, [])
            if len(held) >= self._depth(controller):
                return
            lease = self._waiting.take(controller)
            lease.at = LeaseState.HELD
            held.append((controller, lease))
            fields = _NEEDS[self._stage]
            if self._stage == "segment" and "prepared" not in lease.arrays:
                fields = ("canvas",)
            send_frame(self._send, worker, lease, fields)

    def _depth(self, controller: StreamController) -> int:
        """Gives how many frames a worker may have once it gets one of this stream.

        A fresh frame that waited in a worker for a slow one could not be overtaken any more.
        """
        pace, service_s = controller.stream.pace, self._service_s
        if pace.freshest and (service_s is None or service_s > _QUICK * pace.settings.max_age_s):
            return 1
        return _DEPTH

    def take_done(
        self, worker: Worker, body: Done, payload: list[zmq.Frame]
    ) -> StreamController | None:
        """Takes a finished frame on to its next stage; gives its stream.

        Raises:
            WireError: what was made is not where it is said to be.
        """
        found = self._take_from(worker, body.stream, body.index)
        if found is None:
            return None
        controller, lease = found
        lease.arrays.update(received_arrays(lease.slot, body.arrays, payload))
        lease.geometry = body.geometry
        lease.served[self._stage] = body.served
        took_s = body.served.stop - body.served.start
        before_s = took_s if self._service_s is None else self._service_s
        self._service_s = 0.8 * before_s + 0.2 * took_s
        # What no later stage needs is not kept.
        if self._stage == "segment":
            lease.arrays.pop("prepared", None)
        if not controller.stream.wants_image:
            lease.arrays.pop("image", None)
            lease.arrays.pop("canvas", None)
        controller.stream.leases.advance(lease)
        self._held[worker.name].remove(found)
        return controller

    def take_failed(self, worker: Worker, body: Failed) -> None:
        """Counts a frame that the stage could not process."""
        found = self._take_from(worker, body.stream, body.index)
        if found is not None:
            self._held[worker.name].remove(found)
            controller, lease = found
            controller.fail(lease, body.reason, body.detail)

    def lose(self, worker: Worker, *, crashed: bool) -> None:
        """Hands out again, first of all, what a worker had that is gone."""
        held = self._held.pop(worker.name, [])
        for place, (controller, lease) in enumerate(held):
            if lease.at is LeaseState.OUT:
                lease.abandoned = False
                controller.release_slot(lease)
                continue
            lease.num_crashes += crashed and place == 0
            controller.stream.leases.hand_out_again(lease)
            if lease.num_crashes >= _MAX_CRASHES:
                controller.fail(
                    lease, f"{self._stage} crashed", "its worker crashed on it every time"
                )
        for controller, lease in reversed(held):
            if lease.at is LeaseState.WAITING:
                self._waiting.put_back(controller, lease)

    def start_again(self, worker: Worker) -> None:
        """Starts a worker in the place of a lost one."""
        number = self.workers.index(worker)
        self.workers[number] = self._start(number)

    def _take_from(
        self, worker: Worker, stream: str, index: int
    ) -> tuple[StreamController, Lease] | None:
        """Gives a frame that a worker has; None if it is not in flight any more."""
        held = self._held.get(worker.name, [])
        for found in held:
            controller, lease = found
            if controller.stream.name == stream and lease.meta.index == index:
                if lease.at is LeaseState.HELD:
                    return found
                held.remove(found)
                lease.abandoned = False
                controller.release_slot(lease)
                break
        return None
