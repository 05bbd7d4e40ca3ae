"""The hub: takes every frame from stage to stage, through workers that may die at any moment.

All that a run knows of its frames is here, in one thread: leases, slots, the order, the books.
Workers know only the frame that they have. So a worker can be replaced at any time: what it had is
handed out again.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zmq

from icstream.pipeline.hub.lease_table import Lease
from icstream.pipeline.hub.processes import Worker
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_controller import ControllerContext, StreamController
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import LostWorker, Supervisor
from icstream.pipeline.hub.worker_pool import WorkerPool
from icstream.pipeline.wire.messages import (
    Connected,
    Done,
    Failed,
    Fault,
    Heartbeat,
    Message,
    Opened,
    Ready,
    Stop,
    WarmedUp,
    WarmUp,
    WireError,
)
from icstream.pipeline.wire.sockets import HubSocket
from icstream.pipeline.wire.worker_names import worker_of

log = logging.getLogger(__name__)

_TICK_S = 0.1
_PAUSED_S = 1.0
"""If the hub itself did nothing for so long, silence of the others means nothing."""
_LINK_FAULT_S = 5.0
"""A message that was sent this long ago and has not come is lost."""
_CLOSE_S = 1.0
"""So long may files take to close once a run is cut short,"""
_END_S = 0.5
"""and processes to end."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What a hub must know."""

    window: int
    """Frames of a stream that may be in flight."""
    max_streams: int
    """Recordings that are worked on at once; live streams do not wait for one another."""
    stop_s: float
    """How long frames in flight may take to finish once the run is to stop."""
    replicas: int
    """Workers of the segment stage."""
    preprocess_workers: int


class Hub:
    """Runs streams to their end.

    Attributes:
        error: why the run was given up; None if it was not.
    """

    def __init__(
        self,
        settings: HubSettings,
        *,
        socket: HubSocket,
        supervisor: Supervisor,
        slots: SlotPool,
        start_preprocess: Callable[[int], Worker],
        start_segment: Callable[[int], Worker],
        start_others: Mapping[str, Callable[[], Worker]],
        on_frame: Callable[[StreamState, Lease], None],
        on_tick: Callable[[], None],
    ) -> None:
        """Joins what was made for it, and starts the workers that all streams share.

        Args:
            settings: of the run.
            socket: bound.
            supervisor: knows the workers.
            slots: the memory for frames in flight.
            start_preprocess: starts a worker, told its number.
            start_segment: starts a worker, told its number.
            start_others: start workers, by kind, that get no frames from the hub; a run goes on
                without them if they cannot be kept alive.
            on_frame: called with each frame that is durable in its files.
            on_tick: called several times a second.
        """
        self._settings = settings
        self._socket = socket
        self._supervisor = supervisor
        self._slots = slots
        self._on_tick = on_tick
        self._context = ControllerContext(
            window=settings.window,
            slots=slots,
            send=self._send,
            enqueue=lambda controller, lease: self._pools[lease.stage].add(controller, lease),
            withdraw=self._withdraw,
            is_staffed=self._is_staffed,
            on_frame=on_frame,
        )
        self._queue: deque[StreamState] = deque()
        self._controllers: list[StreamController] = []
        self._unheard: dict[bytes, float] = {}
        """Since when messages to or from a worker are under way that should have come."""
        self._stop_deadline: float | None = None
        self.error: str | None = None
        self._pools = {
            "segment": WorkerPool(
                "segment", start_segment, count=settings.replicas, send=self._send
            ),
            "preprocess": WorkerPool(
                "preprocess", start_preprocess, count=settings.preprocess_workers, send=self._send
            ),
        }
        self._start_others = start_others
        for start in start_others.values():
            start()

    def run(self, streams: list[StreamState], *, should_stop: Callable[[], bool]) -> None:
        """Takes the streams to their end; those that are not begun when it must stop are left."""
        self._queue.extend(stream for stream in streams if stream.spec.kind != "live")
        for stream in streams:
            if stream.spec.kind == "live" and self.error is None:
                self._begin(stream)
        poller = zmq.Poller()
        poller.register(self._socket.socket, zmq.POLLIN)
        last = time.monotonic()
        while self._controllers or self._queue:
            while self._queue and self._num_recordings() < self._settings.max_streams:
                self._begin(self._queue.popleft())
            poller.poll(round(1e3 * _TICK_S))
            self._take_messages()
            now = time.monotonic()
            self._move(is_tick=now - last >= _TICK_S)
            if now - last >= _TICK_S:
                self._supervisor.watch(self._take_loss, paused=now - last > _PAUSED_S)
                self._slots.collect()
                self._audit()
                self._on_tick()
                last = time.monotonic()
            if should_stop() and self._stop_deadline is None:
                self._stop()
            if self._stop_deadline is not None and time.monotonic() > self._stop_deadline:
                self._cut_short()
        self._on_tick()

    def end(self) -> None:
        """Ends all workers."""
        for worker in self._supervisor.processes:
            worker.end()
            self._send(worker, Stop())
        self._supervisor.processes.end_all(wait_s=_END_S)

    def _begin(self, stream: StreamState) -> None:
        try:
            self._controllers.append(StreamController(stream, self._context))
        except OSError as error:
            self._give_up(f"{stream.name}: its workers cannot be started: {error.strerror}")

    def _num_recordings(self) -> int:
        return sum(controller.stream.spec.kind != "live" for controller in self._controllers)

    def _move(self, *, is_tick: bool) -> None:
        for controller in self._controllers:
            if is_tick or controller.stream.pace.freshest:
                controller.tick()
        for pool in self._pools.values():
            pool.dispatch()
        for controller in self._controllers:
            controller.feed_encoder()
        self._controllers = [controller for controller in self._controllers if not controller.over]

    def _audit(self) -> None:
        """Looks whether every frame in flight is where its lease says."""
        for controller in self._controllers:
            for lease in controller.stream.leases:
                pool = self._pools.get(lease.stage)
                if pool is not None and not pool.has(controller, lease):
                    log.error("%s: frame %d vanished", controller.stream.name, lease.meta.index)
                    controller.stream.leases.note_vanished(lease)

    def _is_staffed(self) -> bool:
        return all(
            any(worker.ready and not worker.warming for worker in pool.workers)
            for pool in self._pools.values()
        )

    def _withdraw(self, controller: StreamController, lease: Lease) -> None:
        if lease.stage in self._pools:
            self._pools[lease.stage].withdraw(controller, lease)

    def _send(self, worker: Worker, body: Message, payload: list[Any] | None = None) -> None:
        self._socket.send(worker.name, worker.num_sent, body, payload or ())
        worker.num_sent += 1  # also if it could not be sent: its number will be missed

    def _take_messages(self) -> None:
        while (got := self._socket.receive()) is not None:
            name, header, payload = got
            worker = self._supervisor.processes.get(worker_of(name))
            if worker is None:
                continue  # one that was given up, or a stranger
            worker.last_seen = time.monotonic()
            try:
                number, body = self._socket.read(header)
                if isinstance(body, Heartbeat):
                    self._take_beat(worker, body)
                    continue
                if number != worker.num_received:
                    raise WireError(f"message {number} came where {worker.num_received} was due")
                worker.num_received += 1
                self._take(worker, body, payload)
            except WireError as error:
                self._supervisor.give_up(worker, f"link fault: {error}", self._take_loss)

    def _take_beat(self, worker: Worker, beat: Heartbeat) -> None:
        worker.busy_s = beat.busy_s
        num_lost = max(0, beat.num_sent - worker.num_received)
        if not beat.busy_s:
            num_lost += max(0, worker.num_sent - beat.num_received)
        if not num_lost or not worker.ready:
            self._unheard.pop(worker.name, None)
            return
        since = self._unheard.setdefault(worker.name, time.monotonic())
        if time.monotonic() - since > _LINK_FAULT_S:
            raise WireError(f"{num_lost} messages did not arrive")

    def _take(self, worker: Worker, body: Any, payload: list[zmq.Frame]) -> None:
        controller, pool = self._controller_of(worker), self._pools.get(worker.kind)
        match body:
            case Connected():
                worker.connected = True
                if worker.kind == "segment":
                    for size in {f.stream.info.size for f in self._controllers if f.stream.info}:
                        self._warm_up(worker, size)
            case Ready():
                worker.ready = True
            case WarmedUp():
                worker.warming.discard(body.size)
            case Fault():
                self._take_fault(worker, controller, body)
            case Done() if pool is not None:
                controller = pool.take_done(worker, body, payload)
                if controller is not None and worker.kind == "preprocess":
                    lease = controller.stream.leases.get(body.index)
                    assert lease is not None
                    self._pools["segment"].add(controller, lease)
            case Failed() if pool is not None:
                pool.take_failed(worker, body)
            case Failed() if controller is not None:
                lease = controller.stream.leases.get(body.index)
                if lease is not None:
                    controller.fail(lease, body.reason, body.detail)
            case _ if controller is not None:
                if isinstance(body, Opened):
                    for other in self._pools["segment"].workers:
                        self._warm_up(other, body.info.size)
                controller.take(worker, body, payload)

    def _controller_of(self, worker: Worker) -> StreamController | None:
        """Gives the stream that a worker belongs to; None if it serves all."""
        for controller in self._controllers:
            if controller.workers.get(worker.kind) is worker:
                return controller
        return None

    def _warm_up(self, worker: Worker, size: tuple[int, int]) -> None:
        if worker.connected:
            worker.warming.add(size)
            self._send(worker, WarmUp(size))

    def _take_fault(
        self, worker: Worker, controller: StreamController | None, fault: Fault
    ) -> None:
        if worker.ending:  # its stream is over already
            return
        if worker.kind in self._start_others:
            log.error("%s: %s; the run goes on without it", worker.label, fault.text)
            worker.end()
            return
        if controller is None:
            self._give_up(f"{worker.label}: {fault.text}")
            return
        if worker.kind == "decode":
            worker.end()
            self._send(worker, Stop())
            controller.end_reading(fault.text)
            return
        controller.stream.unwritable = fault.kind == "output"
        controller.stream.parts = fault.parts
        controller.end(fault.text)
        if controller.stream.unwritable:
            self._give_up(None)

    def _take_loss(self, lost: LostWorker) -> None:
        """Hands out again what a worker had, and starts another in its place if it is needed."""
        worker = lost.worker
        self._unheard.pop(worker.name, None)
        controller, pool = self._controller_of(worker), self._pools.get(worker.kind)
        if pool is not None:
            pool.lose(worker, crashed=lost.crashed)
        elif worker.kind not in self._start_others and (
            controller is None or not controller.lose(worker)
        ):
            return
        if lost.too_often:
            times = self._supervisor.restarts_per_minute + 1
            reason = f"{worker.label}: {lost.why}, lost {times} times in a minute"
            if worker.kind in self._start_others:
                log.error("%s; the run goes on without it", reason)
            elif controller is None:
                self._give_up(reason)
            else:
                controller.break_off(worker.kind, reason)
            return
        log.warning("%s: %s; it is started again", worker.label, lost.why)
        try:
            self._start_again(worker, controller)
        except OSError as error:
            self._give_up(f"{worker.label}: cannot be started again: {error.strerror}")

    def _start_again(self, worker: Worker, controller: StreamController | None) -> None:
        pool = self._pools.get(worker.kind)
        if pool is not None:
            pool.start_again(worker)
        elif worker.kind in self._start_others:
            self._start_others[worker.kind]()
        elif controller is not None:
            controller.start_again(worker.kind)

    def _give_up(self, error: str | None) -> None:
        """Ends the run in order because it cannot go on."""
        if error and self.error is None:
            self.error = error
            log.error("%s", error)
        self._stop()
        self._stop_deadline = time.monotonic()

    def _stop(self) -> None:
        """Lets no more frames in; what is in flight may still finish."""
        self._queue.clear()
        self._stop_deadline = time.monotonic() + self._settings.stop_s
        for controller in self._controllers:
            controller.stop_reading()
        if not any(worker.ready for worker in self._pools["segment"].workers):
            self._stop_deadline = time.monotonic()

    def _cut_short(self) -> None:
        for controller in self._controllers:
            if not controller.over:
                controller.cut_short()
        self._stop_deadline = time.monotonic() + _CLOSE_S
