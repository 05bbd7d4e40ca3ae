"""Worker threads that process requests, with bounds on the number that wait and on the wait.

A request is decoded, segmented and encoded by one thread: the libraries that do the work release
the interpreter lock, and no more images are unpacked than there are threads. Batches were measured
to gain nothing on a CPU, so there are none.

An image of a new size takes seconds of compilation. All workers but one take only requests of
sizes that are ready, so that new sizes do not hold up the others. A request whose memory is not
free waits until it is, and those behind it go first.
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from icstream.model.memory import MemoryBudget, OverBudgetError, Reservation
from icstream.pipeline.serve.allowance import Allowance
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.models import Networks

log = logging.getLogger(__name__)

T = TypeVar("T")
_TYPICAL_S = 0.1
"""Assumed duration of a request's work, before one was measured."""
_SMOOTHING = 0.1
_LAST_STEP_S = 2.0
"""For the step of a job that is under way when it is told to end."""
_LOOK_AGAIN_S = 0.1
"""A worker looks for memory that others have given back."""


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """The work of one request."""

    work: Callable[[Networks, Allowance], T]
    is_quick: Callable[[Networks], bool]
    """Whether a worker can do it without a compilation."""
    num_bytes: int
    """Memory that the work takes."""
    allowance: Allowance
    future: Future[T] = field(default_factory=Future)


class Engine:
    """Threads that run jobs, each with networks of its own."""

    def __init__(
        self, *, max_requests: int, max_wait_s: float, max_work_s: float, budget: MemoryBudget
    ) -> None:
        """Make an engine whose threads `start` starts.

        Args:
            max_requests: number of requests that are admitted at once.
            max_wait_s: time until a job is begun.
            max_work_s: time that a job may take.
            budget: what the memory of jobs is reserved from.
        """
        self.num_admitted = 0
        self._max_requests = max_requests
        self._max_wait_s = max_wait_s
        self._max_work_s = max_work_s
        self._budget = budget
        self._work_s = _TYPICAL_S
        self._waiting: deque[Job[Any]] = deque()
        self._running: set[Allowance] = set()
        self._slow_busy = False
        self._closing = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def start(self, networks: Sequence[Networks]) -> None:
        """Start a thread for each of the networks, which nobody else may use from then on."""
        self._threads = [
            threading.Thread(target=self._serve, args=(one,), name=f"worker-{i}", daemon=True)
            for i, one in enumerate(networks)
        ]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place for a request, from before its body is read until it is answered.

        Raises:
            RefusedError: all places are taken.
        """
        self.check_room()
        self.num_admitted += 1
        try:
            yield
        finally:
            self.num_admitted -= 1

    def check_room(self) -> None:
        """Let a request go on that there is a place for now.

        Raises:
            RefusedError: all places are taken.
        """
        if self.num_admitted >= self._max_requests:
            raise RefusedError(
                "busy",
                f"{self.num_admitted} requests wait already",
                retry_after_s=self.retry_after_s(),
            )

    async def run(
        self,
        work: Callable[[Networks, Allowance], T],
        *,
        is_quick: Callable[[Networks], bool],
        num_bytes: int = 0,
    ) -> T:
        """Return the result of the work, or raise what it raises.

        When the task is cancelled, work that has not begun is dropped, and other work ends at its
        next look at the allowance.

        Args:
            work: what a worker does.
            is_quick: whether a worker can do it without a compilation.
            num_bytes: memory that it takes.

        Raises:
            RefusedError: no worker, or not enough memory, was free in time.
        """
        job = Job(work, is_quick, num_bytes, Allowance(self._max_work_s))
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()
        waiting = asyncio.wrap_future(job.future)
        try:
            done, _ = await asyncio.wait({waiting}, timeout=self._max_wait_s)
            if not done and job.future.cancel():
                raise RefusedError(
                    "busy",
                    f"no worker was free for {self._max_wait_s:g} s",
                    retry_after_s=self.retry_after_s(),
                )
            return await waiting  # begun: it has its own time
        finally:
            job.future.cancel()
            waiting.cancel()
            job.allowance.cancel()
            with self._changed, suppress(ValueError):  # nearly always a worker has taken it
                self._waiting.remove(job)

    def close(self, timeout_s: float) -> bool:
        """End the threads once all waiting jobs are done, and what takes longer than this time.

        Returns:
            False if a thread has still not ended, as it is within a library.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if not self._join(timeout_s):
            with self._changed:
                self._waiting.clear()
                for allowance in self._running:
                    allowance.cancel()
        return self._join(_LAST_STEP_S)

    def _join(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def retry_after_s(self) -> int:
        """Return the time after which all that waits now will probably be done."""
        return max(1, math.ceil(self.num_admitted * self._work_s / max(1, len(self._threads))))

    def _serve(self, networks: Networks) -> None:
        while (taken := self._take(networks)) is not None:
            job, reservation = taken
            quick = job.is_quick(networks)
            begun = time.monotonic()
            job.allowance.begin()
            try:
                with reservation:
                    result = job.work(networks, job.allowance)
            except Exception as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(result)
            with self._changed:
                self._running.discard(job.allowance)
                if quick:
                    self._work_s += _SMOOTHING * (time.monotonic() - begun - self._work_s)
                else:
                    self._slow_busy = False
                self._changed.notify_all()

    def _take(self, networks: Networks) -> tuple[Job[Any], Reservation] | None:
        """Return the first job that this worker may do; None once there will be no more."""
        with self._changed:
            while True:
                for job in list(self._waiting):
                    quick = job.is_quick(networks)
                    if not quick and self._slow_busy:
                        continue
                    reservation = self._reserve(job)
                    if reservation is None:
                        continue
                    self._waiting.remove(job)
                    if not job.future.set_running_or_notify_cancel():
                        reservation.release()
                        continue  # it waited for too long
                    self._slow_busy = self._slow_busy or not quick
                    self._running.add(job.allowance)
                    return job, reservation
                if self._closing and not self._waiting:
                    return None
                self._changed.wait(_LOOK_AGAIN_S if self._waiting else None)

    def _reserve(self, job: Job[Any]) -> Reservation | None:
        try:
            return self._budget.reserve(job.num_bytes, what="a request")
        except OverBudgetError:
            return None
