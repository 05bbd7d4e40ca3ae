"""Worker threads that process requests, with bounds on the number that wait and on the wait.

A request is decoded, segmented and encoded by one thread: the libraries that do the work release
the interpreter lock, and no more images are unpacked than there are threads. Batches were measured
to gain nothing on a CPU, so there are none.

An image of a new size takes seconds of compilation. All workers but one take only requests of
sizes that are ready, so that new sizes do not hold up the others.
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

from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.models import Networks

log = logging.getLogger(__name__)

T = TypeVar("T")
_TYPICAL_S = 0.1
"""Assumed duration of a request's work, before one was measured."""
_SMOOTHING = 0.1


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """The work of one request."""

    work: Callable[[Networks], T]
    is_quick: Callable[[Networks], bool]
    """Whether a worker can do it without a compilation."""
    future: Future[T] = field(default_factory=Future)


class Engine:
    """Threads that run jobs, each with networks of its own."""

    def __init__(self, *, max_requests: int, max_wait_s: float) -> None:
        """Make an engine whose threads `start` starts.

        Args:
            max_requests: number of requests that are admitted at once.
            max_wait_s: time until a job is begun.
        """
        self.num_admitted = 0
        self._max_requests = max_requests
        self._max_wait_s = max_wait_s
        self._work_s = _TYPICAL_S
        self._waiting: deque[Job[Any]] = deque()
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
        if self.num_admitted >= self._max_requests:
            raise RefusedError(
                "busy",
                f"{self.num_admitted} requests wait already",
                retry_after_s=self._retry_after_s(),
            )
        self.num_admitted += 1
        try:
            yield
        finally:
            self.num_admitted -= 1

    async def run(
        self, work: Callable[[Networks], T], *, is_quick: Callable[[Networks], bool]
    ) -> T:
        """Return the result of the work, or raise what it raises.

        Raises:
            RefusedError: no worker was free in time.
        """
        job = Job(work, is_quick)
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
                    retry_after_s=self._retry_after_s(),
                )
            return await waiting  # begun: it is finished
        finally:
            job.future.cancel()
            with self._changed, suppress(ValueError):  # nearly always a worker has taken it
                self._waiting.remove(job)

    def close(self) -> None:
        """End the threads once all waiting jobs are done."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _retry_after_s(self) -> int:
        """Return the time after which all that waits now will probably be done."""
        return max(1, math.ceil(self.num_admitted * self._work_s / len(self._threads)))

    def _serve(self, networks: Networks) -> None:
        while (job := self._take(networks)) is not None:
            quick = job.is_quick(networks)
            begun = time.monotonic()
            try:
                result = job.work(networks)
            except Exception as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(result)
            with self._changed:
                if quick:
                    self._work_s += _SMOOTHING * (time.monotonic() - begun - self._work_s)
                else:
                    self._slow_busy = False
                    self._changed.notify_all()

    def _take(self, networks: Networks) -> Job[Any] | None:
        """Return the first job that this worker may do; None once there will be no more."""
        with self._changed:
            while True:
                for job in list(self._waiting):
                    quick = job.is_quick(networks)
                    if not quick and self._slow_busy:
                        continue
                    self._waiting.remove(job)
                    if not job.future.set_running_or_notify_cancel():
                        continue  # it waited for too long
                    self._slow_busy = self._slow_busy or not quick
                    return job
                if self._closing and not self._waiting:
                    return None
                self._changed.wait()
