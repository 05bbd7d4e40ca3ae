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
from icstream.pipeline.hub.stream_controller import Flow, FlowContext
from icstream.pipeline.hub.stream_state import Stream
from icstream.pipeline.hub.supervisor import Lost, Supervisor
from icstream.pipeline.hub.worker_pool import Crew
from icstream.pipeline.wire.messages import (
    Beat,
    Done,
    Failed,
    Fault,
    Hello,
    Message,
    Opened,
    Ready,
    Stop,
    Warm,
    WarmUp,
    WireError,
)
from icstream.pipeline.wire.sockets import HubSocket

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
        on_frame: Callable[[Stream, Lease], None],
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
        self._context = FlowContext(
            window=settings.window,
            slots=slots,
            send=self._send,
            enqueue=lambda flow, lease: self._crews[lease.stage].add(flow, lease),
            withdraw=self._withdraw,
            is_staffed=self._is_staffed,
            on_frame=on_frame,
        )
        self._queue: deque[Stream] = deque()
        self._flows: list[Flow] = []
        self._unheard: dict[bytes, float] = {}
        """Since when messages to or from a worker are under way that should have come."""
        self._stop_deadline: float | None = None
        self.error: str | None = None
        self._crews = {
            "segment": Crew("segment", start_segment, count=settings.replicas, send=self._send),
            "preprocess": Crew(
                "preprocess", start_preprocess, count=settings.preprocess_workers, send=self._send
            ),
        }
        self._start_others = start_others
        for start in start_others.values():
            start()

    def run(self, streams: list[Stream], *, should_stop: Callable[[], bool]) -> None:
        """Takes the streams to their end; those that are not begun when it must stop are left."""
        self._queue.extend(stream for stream in streams if stream.spec.kind != "live")
        for stream in streams:
            if stream.spec.kind == "live" and self.error is None:
                self._begin(stream)
        poller = zmq.Poller()
        poller.register(self._socket.socket, zmq.POLLIN)
        last = time.monotonic()
        while self._flows or self._queue:
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

    def _begin(self, stream: Stream) -> None:
        try:
            self._flows.append(Flow(stream, self._context))
        except OSError as error:
            self._give_up(f"{stream.name}: its workers cannot be started: {error.strerror}")

    def _num_recordings(self) -> int:
        return sum(flow.stream.spec.kind != "live" for flow in self._flows)

    def _move(self, *, is_tick: bool) -> None:
        for flow in self._flows:
            if is_tick or flow.stream.pace.freshest:
                flow.tick()
        for crew in self._crews.values():
            crew.dispatch()
        for flow in self._flows:
            flow.feed_encoder()
        self._flows = [flow for flow in self._flows if not flow.over]

    def _audit(self) -> None:
        """Looks whether every frame in flight is where its lease says."""
        for flow in self._flows:
            for lease in flow.stream.ledger:
                crew = self._crews.get(lease.stage)
                if crew is not None and not crew.has(flow, lease):
                    log.error("%s: frame %d vanished", flow.stream.name, lease.meta.index)
                    flow.stream.ledger.note_vanished(lease)

    def _is_staffed(self) -> bool:
        return all(
            any(worker.ready and not worker.warming for worker in crew.workers)
            for crew in self._crews.values()
        )

    def _withdraw(self, flow: Flow, lease: Lease) -> None:
        if lease.stage in self._crews:
            self._crews[lease.stage].withdraw(flow, lease)

    def _send(self, worker: Worker, body: Message, payload: list[Any] | None = None) -> None:
        self._socket.send(worker.name, worker.num_sent, body, payload or ())
        worker.num_sent += 1  # also if it could not be sent: its number will be missed

    def _take_messages(self) -> None:
        while (got := self._socket.receive()) is not None:
            name, header, payload = got
            worker = self._supervisor.processes.get(name[:16])
            if worker is None:
                continue  # one that was given up, or a stranger
            worker.last_seen = time.monotonic()
            try:
                number, body = self._socket.read(header)
                if isinstance(body, Beat):
                    self._take_beat(worker, body)
                    continue
                if number != worker.num_received:
                    raise WireError(f"message {number} came where {worker.num_received} was due")
                worker.num_received += 1
                self._take(worker, body, payload)
            except WireError as error:
                self._supervisor.give_up(worker, f"link fault: {error}", self._take_loss)

    def _take_beat(self, worker: Worker, beat: Beat) -> None:
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
        flow, crew = self._flow_of(worker), self._crews.get(worker.kind)
        match body:
            case Hello():
                worker.connected = True
                if worker.kind == "segment":
                    for size in {f.stream.info.size for f in self._flows if f.stream.info}:
                        self._warm_up(worker, size)
            case Ready():
                worker.ready = True
            case Warm():
                worker.warming.discard(body.size)
            case Fault():
                self._take_fault(worker, flow, body)
            case Done() if crew is not None:
                flow = crew.take_done(worker, body, payload)
                if flow is not None and worker.kind == "preprocess":
                    lease = flow.stream.ledger.get(body.index)
                    assert lease is not None
                    self._crews["segment"].add(flow, lease)
            case Failed() if crew is not None:
                crew.take_failed(worker, body)
            case Failed() if flow is not None:
                lease = flow.stream.ledger.get(body.index)
                if lease is not None:
                    flow.fail(lease, body.reason, body.detail)
            case _ if flow is not None:
                if isinstance(body, Opened):
                    for other in self._crews["segment"].workers:
                        self._warm_up(other, body.info.size)
                flow.take(worker, body, payload)

    def _flow_of(self, worker: Worker) -> Flow | None:
        """Gives the stream that a worker belongs to; None if it serves all."""
        for flow in self._flows:
            if flow.workers.get(worker.kind) is worker:
                return flow
        return None

    def _warm_up(self, worker: Worker, size: tuple[int, int]) -> None:
        if worker.connected:
            worker.warming.add(size)
            self._send(worker, WarmUp(size))

    def _take_fault(self, worker: Worker, flow: Flow | None, fault: Fault) -> None:
        if worker.ending:  # its stream is over already
            return
        if worker.kind in self._start_others:
            log.error("%s: %s; the run goes on without it", worker.label, fault.text)
            worker.end()
            return
        if flow is None:
            self._give_up(f"{worker.label}: {fault.text}")
            return
        if worker.kind == "decode":
            worker.end()
            self._send(worker, Stop())
            flow.end_reading(fault.text)
            return
        flow.stream.unwritable = fault.kind == "output"
        flow.stream.parts = fault.parts
        flow.end(fault.text)
        if flow.stream.unwritable:
            self._give_up(None)

    def _take_loss(self, lost: Lost) -> None:
        """Hands out again what a worker had, and starts another in its place if it is needed."""
        worker = lost.worker
        self._unheard.pop(worker.name, None)
        flow, crew = self._flow_of(worker), self._crews.get(worker.kind)
        if crew is not None:
            crew.lose(worker, crashed=lost.crashed)
        elif worker.kind not in self._start_others and (flow is None or not flow.lose(worker)):
            return
        if lost.too_often:
            times = self._supervisor.restarts_per_minute + 1
            reason = f"{worker.label}: {lost.why}, lost {times} times in a minute"
            if worker.kind in self._start_others:
                log.error("%s; the run goes on without it", reason)
            elif flow is None:
                self._give_up(reason)
            else:
                flow.break_off(worker.kind, reason)
            return
        log.warning("%s: %s; it is started again", worker.label, lost.why)
        try:
            self._start_again(worker, flow)
        except OSError as error:
            self._give_up(f"{worker.label}: cannot be started again: {error.strerror}")

    def _start_again(self, worker: Worker, flow: Flow | None) -> None:
        crew = self._crews.get(worker.kind)
        if crew is not None:
            crew.start_again(worker)
        elif worker.kind in self._start_others:
            self._start_others[worker.kind]()
        elif flow is not None:
            flow.start_again(worker.kind)

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
        for flow in self._flows:
            flow.stop_reading()
        if not any(worker.ready for worker in self._crews["segment"].workers):
            self._stop_deadline = time.monotonic()

    def _cut_short(self) -> None:
        for flow in self._flows:
            if not flow.over:
                flow.cut_short()
        self._stop_deadline = time.monotonic() + _CLOSE_S
