"""Recovery from failing and lost workers."""

import logging
import time
from collections.abc import Callable, Mapping

from icstream.pipeline.hub.active_streams import ActiveStreams
from icstream.pipeline.hub.dispatch import Send
from icstream.pipeline.hub.losses import FruitlessRestarts
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.shutdown import Shutdown
from icstream.pipeline.hub.stream_controller import StreamController
from icstream.pipeline.hub.supervisor import LostWorker
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.hub.worker_pool import SharedPools
from icstream.pipeline.wire.messages import Fault, Stop

log = logging.getLogger(__name__)

_MAX_DELAY_S = 60.0
"""Longest time, in seconds, between two attempts to start a worker."""


class Recovery:
    """Replaces lost workers, and ends what cannot continue without one."""

    def __init__(
        self,
        *,
        streams: ActiveStreams,
        pools: SharedPools,
        start_others: Mapping[str, Callable[[], Worker]],
        max_restarts: int,
        shutdown: Shutdown,
        send: Send,
    ) -> None:
        self._streams = streams
        self._pools = pools
        self._start_others = start_others
        self._max_restarts = max_restarts
        self._fruitless = FruitlessRestarts()
        self._postponed: list[tuple[float, Worker, StreamController | None]] = []
        """Postponed replacements: the time, the lost worker, and the controller of its stream."""
        self._shutdown = shutdown
        self._send = send

    def take_fault(self, worker: Worker, fault: Fault) -> None:
        """End what a worker served that reports a fault which a restart would not fix."""
        controller = self._streams.owner(worker)
        if worker.is_ending:  # its stream has ended already
            return
        if worker.kind in self._start_others:
            log.error("%s: %s; the run continues without it", worker.label, fault.text)
            worker.end()
        elif controller is None:
            self._shutdown.begin(f"{worker.label}: {fault.text}", drain_s=0)
        elif worker.kind == "decode":
            worker.end()
            self._send(worker, Stop())
            controller.end(fault.text, to=Phase.DRAINING)
        else:
            is_unwritable = fault.kind == "output"
            controller.stream.parts = fault.parts
            controller.end(fault.text, to=Phase.CLOSED, broken=is_unwritable)
            if is_unwritable:  # the streams write to the same disk
                self._shutdown.begin(drain_s=0)

    def take_loss(self, lost: LostWorker) -> None:
        """Hand out a lost worker's frames again, and replace the worker if it is needed.

        Restarts are judged by progress: after too many without any, whatever needs the worker ends.
        Workers that live streams need are restarted without limit, at growing intervals.
        """
        worker = lost.worker
        controller, pool = self._streams.owner(worker), self._pools.get(worker.kind)
        if pool is not None:
            self._streams.settle(pool.lose(worker, crashed=lost.crashed))
        elif controller is not None:
            controller.lose(lost)
            if not controller.needs(worker.kind):
                return
        elif worker.kind not in self._start_others:
            return
        num_fruitless = self._fruitless.add(worker)
        if num_fruitless <= self._max_restarts:
            log.warning("%s; restarting", lost)
            self._replace(worker, controller)
        elif self._is_kept_alive(worker, controller):
            delay_s = min(_MAX_DELAY_S, 2.0 ** min(num_fruitless - self._max_restarts - 1, 10))
            log.warning("%s; restarting in %g s", lost, delay_s)
            self._postponed.append((time.monotonic() + delay_s, worker, controller))
        else:
            self._abandon(lost, controller)

    def tick(self) -> None:
        """Start the workers whose postponed restart is due."""
        now_s = time.monotonic()
        due = [entry for entry in self._postponed if entry[0] <= now_s]
        self._postponed = [entry for entry in self._postponed if entry[0] > now_s]
        for _, worker, controller in due:
            if controller is None or controller.needs(worker.kind):
                self._replace(worker, controller)

    def _is_kept_alive(self, worker: Worker, controller: StreamController | None) -> bool:
        """Return whether live streams need a worker that has worked in this run before."""
        if worker.kind in self._start_others:
            return False
        if controller is not None:
            stream = controller.stream
            return stream.is_live and (worker.kind == "decode" or stream.accounting.encoded > 0)
        streams = [controller.stream for controller in self._streams]
        return any(stream.is_live and stream.accounting.encoded > 0 for stream in streams)

    def _abandon(self, lost: LostWorker, controller: StreamController | None) -> None:
        """End what needs a worker that cannot be kept running."""
        times = self._max_restarts + 1
        reason = f"{lost}, lost {times} times in a row"
        if lost.worker.kind in self._start_others:
            log.error("%s; the run continues without it", reason)
        elif controller is None:
            self._shutdown.begin(reason, drain_s=0)
        else:
            # Without a decoder, frames in flight can still be written.
            to = Phase.DRAINING if lost.worker.kind == "decode" else Phase.CLOSED
            controller.end(reason, to=to, broken=True)

    def _replace(self, worker: Worker, controller: StreamController | None) -> None:
        pool = self._pools.get(worker.kind)
        try:
            if pool is not None:
                pool.replace(worker)
            elif worker.kind in self._start_others:
                self._start_others[worker.kind]()
            elif controller is not None:
                controller.replace(worker.kind)
        except OSError as error:
            reason = f"{worker.label}: cannot be restarted: {error.strerror}"
            self._shutdown.begin(reason, drain_s=0)
