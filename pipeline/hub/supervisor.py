"""Detection of workers that have died or hang."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from icstream.pipeline.hub.processes import Processes, WorkerProcess
from icstream.pipeline.hub.worker import Worker

log = logging.getLogger(__name__)

_DEAF_S = 0.5
"""Silence of all workers at once, in seconds, for which this process is to blame."""
_STARVED_S = 10.0
"""Longest silence, in seconds, that is put down to a busy machine."""
_MAX_ENDING_S = 5.0
"""Longest time, in seconds, for a worker to end when asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Time limits of workers, in seconds."""

    start_s: float
    """Longest time from its start until a worker is ready."""
    heartbeat_s: float
    """Longest time without a heartbeat, once it is ready."""
    frame_s: float
    """Longest time for one frame."""


@dataclass(frozen=True, slots=True)
class LostWorker:
    """A lost worker, whose process has ended."""

    worker: Worker
    why: str
    crashed: bool
    """Whether the worker crashed or hung, rather than being killed from outside."""

    def __str__(self) -> str:
        return f"{self.worker.label}: {self.why}"


class Supervisor:
    """Detects lost workers of a run.

    Attributes:
        processes: The workers.
        num_lost: Number of workers lost so far.
    """

    def __init__(self, processes: Processes, deadlines: Deadlines) -> None:
        self.processes = processes
        self.num_lost = 0
        self._deadlines = deadlines
        self._deaf_until_s = 0.0
        """Monotonic time, in seconds, until which no worker at all was heard."""

    def watch(self, *, paused: bool) -> Iterator[LostWorker]:
        """Check all workers, and yield each lost one once its process has ended.

        Args:
            paused: Whether this process was held up, so that missing heartbeats are ignored.
        """
        now_s = time.monotonic()
        if self._is_deaf(now_s):
            self._deaf_until_s = now_s
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
                worker.end_seen = True  # handled on the next call, after its last messages
                continue
            why = why or self._overdue(worker, now_s)
            if why is not None and (lost := self.discard(worker, why)) is not None:
                yield lost

    def discard(self, worker: WorkerProcess, why: str) -> LostWorker | None:
        """Kill a worker permanently.

        Returns:
            The lost worker. None if the worker was to end anyway, or if its process is not gone
            yet; `watch` yields it later then.
        """
        hung = worker.killed_for is not None or worker.is_running()
        worker.killed_for = why
        if not worker.kill():
            if worker.dying_s > _MAX_ENDING_S and not worker.end_seen:
                worker.end_seen = True  # logged only once
                log.warning("%s: %s; killed, but still blocked by a device", worker.label, why)
            return None
        self.processes.forget(worker)
        if worker.is_ending:
            return None
        self.num_lost += 1
        return LostWorker(worker, why, hung or worker.crashed)

    def _overdue(self, worker: WorkerProcess, now_s: float) -> str | None:
        """Return which deadline a worker has missed, or None."""
        if worker.ending_since_s is not None:
            late = now_s - worker.ending_since_s > _MAX_ENDING_S
            return "took too long to end" if late else None
        if worker.is_stopped(now_s, silent_s=min(1.0, self._deadlines.heartbeat_s)):
            return "is stopped"
        if not worker.ready:
            late = now_s - worker.started_s > self._deadlines.start_s
            return f"was not ready after {self._deadlines.start_s:g} s" if late else None
        if self._is_silent(worker, now_s):
            silent_s, limit_s = now_s - worker.last_seen_s, self._deadlines.heartbeat_s
            return f"sent no heartbeat for {silent_s:.1f} s (beat_timeout_s is {limit_s:g})"
        if worker.warming:
            late = worker.busy_s > self._deadlines.start_s
            return f"spent {worker.busy_s:.0f} s preparing for one size" if late else None
        if worker.busy_s > self._deadlines.frame_s:
            return f"spent {worker.busy_s:.0f} s on one frame"
        return None

    def _is_deaf(self, now_s: float) -> bool:
        """Return whether several workers are silent at once, as if nothing arrived here.

        The thread that receives messages may lack CPU time while this one does not.
        """
        seen_s = [worker.last_seen_s for worker in self.processes if worker.ready]
        return len(seen_s) > 1 and _DEAF_S < now_s - max(seen_s) <= _STARVED_S

    def _is_silent(self, worker: WorkerProcess, now_s: float) -> bool:
        """Return whether a heartbeat is overdue."""
        if now_s - worker.last_seen_s <= self._deadlines.heartbeat_s:
            return False
        if now_s - worker.last_seen_s > _STARVED_S:
            return True
        since_deaf_s = now_s - self._deaf_until_s
        return since_deaf_s > self._deadlines.heartbeat_s and not worker.is_starved()
