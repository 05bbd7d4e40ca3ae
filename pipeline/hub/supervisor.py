"""The watch over the workers: which died or hang."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from icstream.pipeline.hub.processes import Processes, WorkerProcess
from icstream.pipeline.hub.worker import Worker

log = logging.getLogger(__name__)

_MAX_ENDING_S = 5.0
"""How long a worker may take to end once it was asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a worker may take."""

    start_s: float
    """From its start until it is ready for work."""
    heartbeat_s: float
    """Without any sign of life afterwards."""
    frame_s: float
    """At one frame."""


@dataclass(frozen=True, slots=True)
class LostWorker:
    """A worker that is gone; its process has ended."""

    worker: Worker
    why: str
    crashed: bool
    """Whether it ended by its own doing, or hung: nobody else killed it."""

    def __str__(self) -> str:
        return f"{self.worker.label}: {self.why}"


class Supervisor:
    """The watch over all workers of a run.

    Attributes:
        processes: The workers.
        num_lost: Workers that were lost so far.
    """

    def __init__(self, processes: Processes, deadlines: Deadlines) -> None:
        self.processes = processes
        self.num_lost = 0
        self._deadlines = deadlines

    def watch(self, *, paused: bool) -> Iterator[LostWorker]:
        """Look after all workers, and yield each that is lost once its process has ended.

        Args:
            paused: Whether this process was held up, so that silence of the others means nothing.
        """
        now_s = time.monotonic()
        for worker in self.processes:
            worker.read_stderr()
            if worker.killed_for is not None:
                if (lost := self.discard(worker, worker.killed_for)) is not None:
                    yield lost
                continue
            if paused:
                worker.reset_deadlines(now_s)
                continue
            why = worker.ended()
            if why is not None and not worker.end_seen:
                worker.end_seen = True  # its last messages may still be on their way: next time
                continue
            why = why or self._overdue(worker, now_s)
            if why is not None and (lost := self.discard(worker, why)) is not None:
                yield lost

    def discard(self, worker: WorkerProcess, why: str) -> LostWorker | None:
        """End a worker for good.

        Returns:
            What was lost. None if that is no loss, as it was to end, and as long as its process
            is not gone: then `watch` yields it later.
        """
        hung = worker.killed_for is not None or worker.is_running()
        worker.killed_for = why
        if not worker.kill():
            if worker.dying_s > _MAX_ENDING_S and not worker.end_seen:
                worker.end_seen = True  # said once
                log.warning("%s: %s; killed, but it waits for a device", worker.label, why)
            return None
        self.processes.forget(worker)
        if worker.is_ending:
            return None
        self.num_lost += 1
        return LostWorker(worker, why, hung or worker.crashed)

    def _overdue(self, worker: WorkerProcess, now_s: float) -> str | None:
        """Return which deadline a worker has missed."""
        if worker.ending_since_s is not None:
            late = now_s - worker.ending_since_s > _MAX_ENDING_S
            return "took too long to end" if late else None
        if worker.is_stopped(now_s, silent_s=min(1.0, self._deadlines.heartbeat_s)):
            return "is stopped"
        if not worker.ready:
            late = now_s - worker.started_s > self._deadlines.start_s
            return f"was not ready after {self._deadlines.start_s:g} s" if late else None
        if worker.is_silent(now_s, heartbeat_s=self._deadlines.heartbeat_s):
            return f"gave no sign of life for {now_s - worker.last_seen_s:.1f} s"
        if worker.warming:
            late = worker.busy_s > self._deadlines.start_s
            return f"prepared for one size for {worker.busy_s:.0f} s" if late else None
        if worker.busy_s > self._deadlines.frame_s:
            return f"was at one frame for {worker.busy_s:.0f} s"
        return None
