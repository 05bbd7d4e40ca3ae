"""Worker threads that process requests, with limits on their number and on the wait.

A request is decoded, segmented and encoded by one thread: the libraries release the interpreter
lock, and there are never more decoded images than threads. Batches were measured to bring no gain
on
a CPU, so there are none.

An image of a new size takes seconds of compilation. All workers but one take only requests of
prepared sizes, so that new sizes do not delay other requests. A request whose memory is not
available
waits, and those behind it go first.
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
"""Assumed duration of a request's work, in seconds, before any was measured."""
_SMOOTHING = 0.1
_LAST_STEP_S = 2.0
"""Time in seconds for the present step of a job to end after cancellation."""
_LOOK_AGAIN_S = 0.1
"""Period in seconds for checking whether memory has become available."""


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """The work of one request."""

    work: Callable[[Networks, Allowance], T]
    is_quick: Callable[[Networks], bool]
    """Function that returns whether a worker can do it without a compilation."""
    num_bytes: int
    """Memory of the work, in bytes."""
    allowance: Allowance
    future: Future[T] = field(default_factory=Future)


class Engine:
    """Threads that run jobs, each with its own networks."""

    def __init__(
        self, *, max_requests: int, max_wait_s: float, max_work_s: float, budget: MemoryBudget
    ) -> None:
        """Create an engine, whose threads are started by `start`.

        Args:
            max_requests: the most requests that are admitted at the same time.
            max_wait_s: the most seconds until a job starts.
            max_work_s: the most seconds of a job.
            budget: the budget from which the memory of jobs is reserved.
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
        """Start a thread for each of the networks, which only that thread may use from then on."""
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
        """Check that there is a place for a request.

        Raises:
            RefusedError: all places are taken.
        """
        if self.num_admitted >= self._max_requests:
            raise RefusedError(
                "busy",
                f"{self.num_admitted} requests are already waiting",
                retry_after_s=self.retry_after_s(),
            )

    async def run(
        self,
        work: Callable[[Networks, Allowance], T],
        *,
        is_quick: Callable[[Networks], bool],
        num_bytes: int = 0,
    ) -> T:
        """Return the result of the work, or raise its error.

        When the task is cancelled, work that has not started is dropped, and other work ends at its
        next check of the allowance.

        Args:
            work: the function that a worker calls.
            is_quick: returns whether a worker can do it without a compilation.
            num_bytes: the memory of the work, in bytes.

        Raises:
            RefusedError: no worker, or not enough memory, was available in time.
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
                    f"no worker was available within {self._max_wait_s:g} s",
                    retry_after_s=self.retry_after_s(),
                )
            return await waiting  # it has started, so it has its own time limit
        finally:
            job.future.cancel()
            waiting.cancel()
            job.allowance.cancel()
            with self._changed, suppress(ValueError):  # a worker has nearly always taken it
                self._waiting.remove(job)

    def close(self, timeout_s: float) -> bool:
        """End the threads once all waiting jobs are done, cancelling those that exceed the timeout.

        Returns:
            False if a thread has not ended, because it is inside a library.
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
        """Return the seconds after which all present requests will probably be done."""
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
        """Return the first job that this worker may do, or None when there will be no more."""
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
                        continue  # it waited too long
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
