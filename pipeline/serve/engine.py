"""Worker threads that do the requests' work, with a bound on what waits and for how long.

A request is decoded, segmented and encoded by one thread: the libraries that do the work let go of
the interpreter meanwhile, and no more images are unpacked than there are threads. Batches were
measured to gain nothing on a processor, so there are none.

Images of a size that a network has not seen take seconds of compilation. All workers but one keep
to sizes that are ready, so that strange sizes do not hold up the others.
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
"""A request's work, before one was measured."""
_SMOOTHING = 0.1


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """Work for one of the threads."""

    work: Callable[[Networks], T]
    is_quick: Callable[[Networks], bool]
    """Whether a worker can do it without a compilation."""
    future: Future[T] = field(default_factory=Future)


class Engine:
    """Runs jobs in threads, each with networks of its own."""

    def __init__(self, *, max_requests: int, max_wait_s: float) -> None:
        """Makes an engine that `start` sets in motion.

        Args:
            max_requests: that are admitted at once.
            max_wait_s: until a job is begun.
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
        """Starts a thread for each of the networks, which from now on is the thread's own."""
        self._threads = [
            threading.Thread(target=self._serve, args=(one,), name=f"worker-{i}", daemon=True)
            for i, one in enumerate(networks)
        ]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Holds a place for a request, from before its body is read until it is answered.

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
        """Gives what the work gives; what it raises is raised here.

        Raises:
            RefusedError: no worker came to it in time.
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
        """Ends the threads once all that waits is done."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _retry_after_s(self) -> int:
        """Gives in how many seconds all that waits now will probably be done."""
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
        """Gives the first job that this worker may do; None once there will be no more."""
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
