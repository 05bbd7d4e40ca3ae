"""The watch over the workers: which died or hang, and how often."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from icstream.pipeline.hub.processes import Processes, WorkerProcess
from icstream.pipeline.hub.worker import Worker

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
    """Whether it ended by its own doing: nobody killed it."""
    too_often: bool
    """Whether it has used up its restarts."""


class Supervisor:
    """The watch over all workers of a run.

    Attributes:
        processes: The workers.
        restarts_per_minute: How often one worker may be replaced.
        num_lost: Workers that were lost so far.
    """

    def __init__(
        self, processes: Processes, deadlines: Deadlines, *, restarts_per_minute: int
    ) -> None:
        self.processes = processes
        self.restarts_per_minute = restarts_per_minute
        self.num_lost = 0
        self._deadlines = deadlines
        self._losses_s: dict[str, deque[float]] = {}
        """When each worker was lost lately, by its label."""

    def watch(self, *, paused: bool) -> Iterator[LostWorker]:
        """Look after all workers, and yield each that is lost once its process has ended.

        Args:
            paused: Whether this process was held up, so that silence of the others means nothing.
        """
        now_s = time.monotonic()
        for worker in self.processes:
            worker.read_stderr()
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
        """End a worker for good; None if that is no loss, as it was to end."""
        hung = worker.is_running()
        worker.kill()
        self.processes.forget(worker)
        if worker.is_ending:
            return None
        self.num_lost += 1
        return LostWorker(worker, why, hung or worker.crashed, self._is_too_often(worker.label))

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
        if worker.busy_s > self._deadlines.frame_s:
            return f"was at one frame for {worker.busy_s:.0f} s"
        return None

    def _is_too_often(self, label: str) -> bool:
        losses_s = self._losses_s.setdefault(label, deque())
        now_s = time.monotonic()
        losses_s.append(now_s)
        while now_s - losses_s[0] > 60:
            losses_s.popleft()
        return len(losses_s) > self.restarts_per_minute
