"""The hub: moves every frame from stage to stage, through workers that may be lost at any time.

The whole state of a run is kept here, in one thread: leases, slots, order and accounting. Workers
have only their current frames, so any worker can be replaced: its frames are handed out again.
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
"""Pause of the hub itself, in seconds, after which missing heartbeats are ignored."""
_END_S = 0.5
"""Longest time for processes to end, in seconds."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """The settings of a hub."""

    window: int
    """Most frames of a stream in flight."""
    max_streams: int
    """Most recordings that are processed at the same time; live streams do not count."""
    max_restarts: int
    """Most restarts of a worker in a row without progress."""
    stop_s: float
    """Longest time, in seconds, for frames in flight to finish when the run is stopped."""
    replicas: int
    """Number of segment workers."""
    preprocess_workers: int
    """Number of preprocess workers."""


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
            settings: The settings.
            socket: The bound socket that workers connect to.
            supervisor: The supervisor of the workers.
            slots: The memory for frames in flight.
            sizes: The policy that decides which segment workers prepare for which sizes.
            start_preprocess: A function that starts the preprocess worker with a number.
            start_segment: A function that starts the segment worker with a number.
            start_others: Functions, by kind, that start the workers which get no frames from the
                hub; a run continues without them if they fail.
            on_frame: A callback for each frame that has become durable in its files.
            on_tick: A callback that is called several times per second.
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
        """Handlers of messages from every kind of worker; pools and streams handle all others."""
        for start in start_others.values():
            start()

    @property
    def error(self) -> str | None:
        """The reason why the run was aborted, or None."""
        return self._shutdown.error

    def run(self, streams: list[StreamState], *, should_stop: Callable[[], bool]) -> None:
        """Run the streams to their end; when stopped, streams that have not begun are left out."""
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
            reason = f"{stream.name}: cannot start its workers: {error.strerror}"
            self._shutdown.begin(reason, drain_s=0)

    def _begin_waiting(self) -> None:
        waiting = self._streams.waiting
        while waiting and self._streams.num_recordings < self._settings.max_streams:
            self._begin(waiting.popleft())

    def _stop(self) -> None:
        """Stop on request; frames in flight are not waited for if no network is loaded."""
        is_loaded = any(worker.ready for worker in self._pools["segment"].workers)
        self._shutdown.begin(drain_s=self._settings.stop_s if is_loaded else 0)

    def _move(self, *, is_tick: bool) -> None:
        """Move frames on to workers that have room."""
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
                continue  # a discarded worker, or an unknown peer
            worker.last_seen_s = time.monotonic()
            try:
                self._read(worker, header, payload)
            except WireError as error:
                lost = self._supervisor.discard(worker, f"link fault: {error}")
                self._links.forget(worker)
                if lost is not None:
                    self._recovery.take_loss(lost)

    def _read(self, worker: WorkerProcess, header: bytes, payload: list[zmq.Frame]) -> None:
        """Handle a message.

        Raises:
            WireError: It cannot be parsed, a message before it is missing, or it is unexpected.
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
