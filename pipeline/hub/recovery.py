"""What a run does when a worker gives up or is lost."""

import logging
from collections.abc import Callable, Mapping

from icstream.pipeline.hub.active_streams import ActiveStreams
from icstream.pipeline.hub.dispatch import Send
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.shutdown import Shutdown
from icstream.pipeline.hub.stream_controller import StreamController
from icstream.pipeline.hub.supervisor import LostWorker
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.hub.worker_pool import SharedPools
from icstream.pipeline.wire.messages import Fault, Stop

log = logging.getLogger(__name__)


class Recovery:
    """Replaces workers that are lost, and ends what cannot go on without one."""

    def __init__(
        self,
        *,
        streams: ActiveStreams,
        pools: SharedPools,
        start_others: Mapping[str, Callable[[], Worker]],
        restarts_per_minute: int,
        shutdown: Shutdown,
        send: Send,
    ) -> None:
        self._streams = streams
        self._pools = pools
        self._start_others = start_others
        self._restarts_per_minute = restarts_per_minute
        self._shutdown = shutdown
        self._send = send

    def take_fault(self, worker: Worker, fault: Fault) -> None:
        """End what a worker was for that gives up, as another one would fail too."""
        controller = self._streams.owner(worker)
        if worker.is_ending:  # its stream is over already
            return
        if worker.kind in self._start_others:
            log.error("%s: %s; the run goes on without it", worker.label, fault.text)
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
            if is_unwritable:  # the streams write to one disk
                self._shutdown.begin(drain_s=0)

    def take_loss(self, lost: LostWorker) -> None:
        """Hand out again what a worker had, and start another in its place if it is needed."""
        worker = lost.worker
        controller, pool = self._streams.owner(worker), self._pools.get(worker.kind)
        if pool is not None:
            self._streams.settle(pool.lose(worker, crashed=lost.crashed))
        elif worker.kind not in self._start_others and (
            controller is None or not controller.lose(worker)
        ):
            return
        if lost.too_often:
            self._abandon(lost, controller)
            return
        log.warning("%s: %s; it is started again", worker.label, lost.why)
        try:
            self._replace(worker, controller)
        except OSError as error:
            reason = f"{worker.label}: cannot be started again: {error.strerror}"
            self._shutdown.begin(reason, drain_s=0)

    def _abandon(self, lost: LostWorker, controller: StreamController | None) -> None:
        """End what needs a worker that cannot be kept alive."""
        times = self._restarts_per_minute + 1
        reason = f"{lost.worker.label}: {lost.why}, lost {times} times in a minute"
        if lost.worker.kind in self._start_others:
            log.error("%s; the run goes on without it", reason)
        elif controller is None:
            self._shutdown.begin(reason, drain_s=0)
        else:
            # Without a decoder, what is in flight still goes into the files.
            to = Phase.DRAINING if lost.worker.kind == "decode" else Phase.CLOSED
            controller.end(reason, to=to, broken=True)

    def _replace(self, worker: Worker, controller: StreamController | None) -> None:
        pool = self._pools.get(worker.kind)
        if pool is not None:
            pool.replace(worker)
        elif worker.kind in self._start_others:
            self._start_others[worker.kind]()
        elif controller is not None:
            controller.replace(worker.kind)
