"""The hub: takes every frame from stage to stage, through workers that may die at any moment.

All that a run knows of its frames is here, in one thread: leases, slots, the order, the accounting.
Workers know only the frames that they have. So a worker can be replaced at any time: what it had is
handed out again.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zmq

from icstream.pipeline.hub.active_streams import ActiveStreams
from icstream.pipeline.hub.controller_context import ControllerContext
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.link_check import LinkCheck
from icstream.pipeline.hub.network_sizes import NetworkSizes
from icstream.pipeline.hub.processes import WorkerProcess
from icstream.pipeline.hub.recovery import Recovery
from icstream.pipeline.hub.shutdown import Shutdown
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import Supervisor
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.hub.worker_pool import SharedPools, WorkerPool
from icstream.pipeline.wire.messages import (
    Connected,
    Fault,
    Heartbeat,
    Message,
    Ready,
    Stop,
    WireError,
)
from icstream.pipeline.wire.sockets import HubSocket
from icstream.pipeline.wire.worker_names import worker_of

_TICK_S = 0.1
_PAUSED_S = 1.0
"""If the hub itself did nothing for so long, silence of the workers means nothing."""
_END_S = 0.5
"""How long processes may take to end."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """The settings of a hub."""

    window: int
    """Frames of a stream that may be in flight."""
    max_streams: int
    """Recordings that are worked on at once; live streams do not wait for one another."""
    max_restarts: int
    """How often a worker is restarted without anything gained in between."""
    stop_s: float
    """How long frames in flight may take to finish once the run is to stop."""
    replicas: int
    """Workers of the segment stage."""
    preprocess_workers: int
    """Workers of the preprocess stage."""


class Hub:
    """Runs streams to their end."""

    def __init__(
        self,
        settings: HubSettings,
        *,
        socket: HubSocket,
        supervisor: Supervisor,
        slots: SlotPool,
        sizes: NetworkSizes,
        start_preprocess: Callable[[int], Worker],
        start_segment: Callable[[int], Worker],
        start_others: Mapping[str, Callable[[], Worker]],
        on_frame: Callable[[StreamState, Lease], None],
        on_tick: Callable[[], None],
    ) -> None:
        """Start the workers that all streams share.

        Args:
            settings: Those of the run.
            socket: The bound socket that workers connect to.
            supervisor: The watch over the workers.
            slots: The memory for frames in flight.
            sizes: The sizes that the network's workers are prepared for.
            start_preprocess: Starts a preprocess worker, given its number.
            start_segment: Starts a segment worker, given its number.
            start_others: By kind, what starts a worker that gets no frames from the hub; a run goes
                on without those that cannot be kept alive.
            on_frame: Called with each frame that is durable in its files.
            on_tick: Called several times a second.
        """
        self._settings = settings
        self._socket = socket
        self._supervisor = supervisor
        self._slots = slots
        self._on_tick = on_tick
        self._links = LinkCheck()
        self._pools = self._start_pools(start_preprocess, start_segment, sizes)
        context = ControllerContext(settings.window, slots, self._send, self._pools, on_frame)
        self._streams = ActiveStreams(context)
        self._shutdown = Shutdown(self._streams)
        self._recovery = Recovery(
            streams=self._streams,
            pools=self._pools,
            start_others=start_others,
            max_restarts=settings.max_restarts,
            shutdown=self._shutdown,
            send=self._send,
        )
        self._handlers: dict[type, Callable[[WorkerProcess, Any], None]] = {
            Connected: self._take_connected,
            Ready: self._take_ready,
            Fault: self._recovery.take_fault,
        }
        """What every kind of worker may send; the rest goes to its pool or to its stream."""
        for start in start_others.values():
            start()

    @property
    def error(self) -> str | None:
        """Why the run was given up; None if it was not."""
        return self._shutdown.error

    def run(self, streams: list[StreamState], *, should_stop: Callable[[], bool]) -> None:
        """Take the streams to their end; those that are not begun when it must stop are left."""
        self._streams.waiting.extend(stream for stream in streams if not stream.is_live)
        for stream in streams:
            if stream.is_live and self.error is None:
                self._begin(stream)
        poller = zmq.Poller()
        poller.register(self._socket.socket, zmq.POLLIN)
        last_s = time.monotonic()
        while self._streams:
            self._begin_waiting()
            poller.poll(round(1e3 * _TICK_S))
            self._take_messages()
            since_s = time.monotonic() - last_s
            self._move(is_tick=since_s >= _TICK_S)
            if since_s >= _TICK_S:
                self._watch(paused=since_s > _PAUSED_S)
                self._on_tick()
                last_s = time.monotonic()
            if should_stop() and not self._shutdown.has_begun:
                self._stop()
            self._shutdown.tick()
        self._on_tick()

    def end(self) -> None:
        """End all workers."""
        for worker in self._supervisor.processes:
            worker.end()
            self._send(worker, Stop())
        self._supervisor.processes.end_all(wait_s=_END_S)

    def _start_pools(
        self,
        start_preprocess: Callable[[int], Worker],
        start_segment: Callable[[int], Worker],
        sizes: NetworkSizes,
    ) -> SharedPools:
        settings = self._settings
        segment = WorkerPool(
            "segment", start_segment, count=settings.replicas, send=self._send, sizes=sizes
        )
        preprocess = WorkerPool(
            "preprocess",
            start_preprocess,
            count=settings.preprocess_workers,
            send=self._send,
            successor=segment,
        )
        return SharedPools(segment, preprocess)

    def _begin(self, stream: StreamState) -> None:
        try:
            self._streams.begin(stream)
        except OSError as error:
            reason = f"{stream.name}: its workers cannot be started: {error.strerror}"
            self._shutdown.begin(reason, drain_s=0)

    def _begin_waiting(self) -> None:
        waiting = self._streams.waiting
        while waiting and self._streams.num_recordings < self._settings.max_streams:
            self._begin(waiting.popleft())

    def _stop(self) -> None:
        """Stop as asked; without a network, frames in flight have nothing to wait for."""
        is_loaded = any(worker.ready for worker in self._pools["segment"].workers)
        self._shutdown.begin(drain_s=self._settings.stop_s if is_loaded else 0)

    def _move(self, *, is_tick: bool) -> None:
        """Move frames on, as far as workers have room."""
        for controller in self._streams:
            if is_tick or controller.stream.plan.freshest:
                controller.tick()
        self._streams.settle(self._pools.dispatch())
        for controller in self._streams:
            controller.send_to_encoder()
        self._streams.remove_closed()

    def _watch(self, *, paused: bool) -> None:
        for lost in self._supervisor.watch(paused=paused):
            self._links.forget(lost.worker)
            self._recovery.take_loss(lost)
        self._recovery.tick()
        self._slots.collect()
        self._streams.audit()

    def _send(self, worker: Worker, body: Message, payload: list[Any] | None = None) -> None:
        self._socket.send(worker.name, self._links.next_number(worker), body, payload or ())

    def _take_messages(self) -> None:
        while (received := self._socket.receive()) is not None:
            name, header, payload = received
            worker = self._supervisor.processes.get(worker_of(name))
            if worker is None or worker.killed_for is not None:
                continue  # one that was discarded, or a stranger
            worker.last_seen_s = time.monotonic()
            try:
                self._read(worker, header, payload)
            except WireError as error:
                lost = self._supervisor.discard(worker, f"link fault: {error}")
                self._links.forget(worker)
                if lost is not None:
                    self._recovery.take_loss(lost)

    def _read(self, worker: WorkerProcess, header: bytes, payload: list[zmq.Frame]) -> None:
        """Act on a message.

        Raises:
            WireError: It cannot be read, one before it is missing, or it is out of turn.
        """
        number, body = self._socket.read(header)
        if isinstance(body, Heartbeat):
            worker.busy_s = body.busy_s
            self._links.check_heartbeat(worker, body)
            return
        self._links.check_number(worker, number)
        handler = self._handlers.get(type(body))
        if handler is not None:
            handler(worker, body)
        elif (pool := self._pools.get(worker.kind)) is not None:
            self._streams.settle(pool.take(worker, body, payload))
        elif (controller := self._streams.owner(worker)) is not None:
            controller.take(worker, body, payload)

    def _take_connected(self, worker: WorkerProcess, _: Connected) -> None:
        worker.connected = True

    def _take_ready(self, worker: WorkerProcess, _: Ready) -> None:
        worker.ready = True
