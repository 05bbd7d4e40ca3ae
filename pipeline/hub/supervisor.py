"""Watches the workers: sees those that died or hang, and counts how often."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from icstream.pipeline.hub.processes import Processes, Worker

_ENDING_S = 5.0
"""So long may a worker take to end that was told to."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a process may be silent, in seconds."""

    start: float
    """From its start until it is ready for work."""
    beat: float
    """Without any sign of life afterwards."""
    task: float
    """At one frame."""


@dataclass(frozen=True, slots=True)
class LostWorker:
    """A worker that is gone; its process has ended."""

    worker: Worker
    why: str
    crashed: bool
    """By its own doing: nobody killed it."""
    too_often: bool
    """It has used up its restarts."""


class Supervisor:
    """Knows all workers of a run, and how often each was started again."""

    def __init__(
        self, processes: Processes, deadlines: Deadlines, *, restarts_per_minute: int
    ) -> None:
        """Takes the processes over.

        Args:
            processes: of the run.
            deadlines: for each.
            restarts_per_minute: of one worker.
        """
        self.processes = processes
        self.restarts_per_minute = restarts_per_minute
        self.num_lost = 0
        self._deadlines = deadlines
        self._losses: dict[str, deque[float]] = {}

    def watch(self, on_lost: Callable[[LostWorker], None], *, paused: bool) -> None:
        """Looks after all workers; tells of each that is lost.

        Args:
            on_lost: called once the process is gone for good.
            paused: this process itself was held up, so that silence of the others means nothing.
        """
        now = time.monotonic()
        for worker in self.processes:
            worker.read_stderr()
            if paused:
                worker.excuse(now)
                continue
            why = worker.ended()
            if why is not None and not worker.end_seen:
                worker.end_seen = True  # what it said last may still be on its way: next time
                continue
            why = why or self._fault(worker, now)
            if why is not None:
                self.give_up(worker, why, on_lost)

    def give_up(self, worker: Worker, why: str, on_lost: Callable[[LostWorker], None]) -> None:
        """Ends a worker for good, and tells of it if that is a loss."""
        hung = worker.process.poll() is None
        worker.kill()
        self.processes.forget(worker)
        if worker.ending:
            return
        self.num_lost += 1
        on_lost(LostWorker(worker, why, hung or worker.crashed, self._too_often(worker.label)))

    def _fault(self, worker: Worker, now: float) -> str | None:
        if worker.ending:
            return "took too long to end" if now - worker.ending_since > _ENDING_S else None
        if worker.is_stopped(now, silent_s=min(1.0, self._deadlines.beat)):
            return "is stopped"
        if not worker.ready:
            late = now - worker.started > self._deadlines.start
            return f"was not ready after {self._deadlines.start:g} s" if late else None
        if worker.is_silent(now, self._deadlines.beat):
            return f"gave no sign of life for {now - worker.last_seen:.1f} s"
        if worker.busy_s > self._deadlines.task:
            return f"was at one frame for {worker.busy_s:.0f} s"
        return None

    def _too_often(self, label: str) -> bool:
        times = self._losses.setdefault(label, deque())
        now = time.monotonic()
        times.append(now)
        while now - times[0] > 60:
            times.popleft()
        return len(times) > self.restarts_per_minute
