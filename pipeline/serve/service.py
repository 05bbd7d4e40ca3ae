"""The models behind all interfaces: loading, readiness, and the work of requests."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from starlette.requests import ClientDisconnect, Request

from icstream.model.memory import MemoryBudget, OverBudgetError
from icstream.pipeline.plan.inference import num_cores
from icstream.pipeline.serve.allowance import Allowance
from icstream.pipeline.serve.engine import Engine
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.metrics import Metrics, Times
from icstream.pipeline.serve.middleware import held
from icstream.pipeline.serve.models import Model, Networks, load_models
from icstream.pipeline.settings.serve import ServeConfig

log = logging.getLogger(__name__)

T = TypeVar("T")
_NOT_READY_S = 2
_KEPT_SHARE = 0.25
"""Share of the memory for compiled sizes that are kept between requests."""


class Service:
    """The models, the engine that runs them, and their readiness."""

    def __init__(self, config: ServeConfig) -> None:
        """Load the weights; `start` prepares the networks.

        Raises:
            ConfigError: weights, runtime, device or precision are invalid.
        """
        self.config = config
        self.models = load_models(config)
        self.default = next(iter(self.models))
        self.num_workers = config.model.workers or _num_workers(self.models[self.default])
        num_bytes = MemoryBudget.settle(config.limits.memory_mb).num_bytes
        self._kept = MemoryBudget(round(_KEPT_SHARE * num_bytes))
        self.budget = MemoryBudget(num_bytes - self._kept.num_bytes)
        """Budget from which the memory of bodies, work and responses is reserved."""
        self.engine = Engine(
            max_requests=config.limits.requests,
            max_wait_s=config.limits.wait_s,
            max_work_s=config.limits.work_s,
            budget=self.budget,
        )
        # One thread, because parsing holds the interpreter lock; health checks are answered in
        # between.
        self._parser = ThreadPoolExecutor(1, thread_name_prefix="parser")
        self.metrics = Metrics(lambda: self.engine.num_admitted)
        self.failure: BaseException | None = None
        """Error that kept the networks from becoming ready."""
        self.stopping = threading.Event()
        self._ready = threading.Event()

    @property
    def ready(self) -> bool:
        """Whether requests are served."""
        return self._ready.is_set() and not self.stopping.is_set()

    def start(self) -> None:
        """Prepare every network for `model.warm_up_sizes`, then start the workers."""
        try:
            from icstream.stages import jpeg_scans  # here, as numba is slow to import

            networks = [Networks(self.models, self._kept) for _ in range(self.num_workers)]
            for worker in networks:
                for name in self.models:
                    for height, width in self.config.model.warm_up_sizes:
                        if self.stopping.is_set():
                            return
                        worker.segment(name, np.zeros((height, width, 3), np.uint8))
            jpeg_scans.load_loops()
        except BaseException as error:
            self.failure = error
            return
        self.engine.start(networks)
        self._ready.set()
        self.metrics.ready.set(1)
        names = ", ".join(self.models)
        log.info("ready: %s; requests at a time: %d", names, self.num_workers)

    def close(self, timeout_s: float) -> bool:
        """End the workers once all waiting work is done, or after the timeout.

        Returns:
            False if a worker has not ended, because it is inside a library.
        """
        self.stopping.set()
        self._parser.shutdown(wait=False, cancel_futures=True)
        return self.engine.close(timeout_s)

    def model(self, name: str | None) -> Model:
        """Return the model with a name, or the default for None.

        Raises:
            RefusedError: there is no such model.
        """
        found = self.models.get(self.default if name is None else name)
        if found is None:
            known = ", ".join(self.models)
            raise RefusedError(
                "unknown_model", f"model {name!r}: does not exist; available are {known}"
            )
        return found

    def check_room(self) -> None:
        """Check, before its body is read, that a request may be served.

        Raises:
            RefusedError: the service is not ready or is stopping, or all places are taken.
        """
        if not self.ready:
            reason = (
                "the service is stopping" if self.stopping.is_set() else "the models are loading"
            )
            raise RefusedError("not_ready", reason, retry_after_s=_NOT_READY_S)
        self.engine.check_room()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place for a request, from its complete body to its response.

        Raises:
            RefusedError: see `check_room`.
        """
        self.check_room()
        with self.engine.admitted():
            yield

    def hold(self, request: Request, num_bytes: int, *, what: str) -> None:
        """Reserve memory until the request's response is sent.

        Raises:
            RefusedError: not enough memory is available.
        """
        try:
            held(request.scope).enter_context(self.budget.reserve(num_bytes, what=what))
        except OverBudgetError as error:
            retry_after_s = self.engine.retry_after_s()
            raise RefusedError("busy", str(error), retry_after_s=retry_after_s) from error

    async def parse(self, parse: Callable[[], T]) -> T:
        """Return the result of parsing client data in a thread, away from the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._parser, parse)

    async def run(
        self,
        request: Request,
        work: Callable[[Networks, Times, Allowance], T],
        *,
        model: Model,
        is_quick: Callable[[Networks], bool],
        num_bytes: int,
        num_images: int = 1,
    ) -> tuple[T, Times]:
        """Return the result of a worker's work on a request, and the time of its stages.

        Args:
            request: the request, whose body has been read; the work ends if its client disconnects.
            work: the function to run, given the worker's networks, a timer of its stages, and its
                allowance.
            model: the model used, for the metrics.
            is_quick: returns whether a worker can do it without a compilation.
            num_bytes: the memory of the work, in bytes.
            num_images: the number of images in the request, for the metrics.

        Raises:
            RefusedError: no worker, or not enough memory, was available in time, or the work raised
            it.
            ClientDisconnect: the client has disconnected.
        """
        if num_bytes > self.budget.num_bytes:
            raise RefusedError(
                "too_large",
                f"needs {num_bytes // 10**6} MB of memory, but at most"
                f" {self.budget.num_bytes // 10**6} MB are allowed (limits.memory_mb)",
            )
        times = Times()

        def timed(networks: Networks, allowance: Allowance) -> T:
            times.start_work()
            return work(networks, times, allowance)

        running = asyncio.ensure_future(
            self.engine.run(timed, is_quick=is_quick, num_bytes=num_bytes)
        )
        gone = asyncio.ensure_future(_wait_until_gone(request))
        try:
            await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise ClientDisconnect
            result = running.result()
        finally:
            running.cancel()
            gone.cancel()
        self.metrics.images.labels(model.name).inc(num_images)
        self.metrics.count_stages(times)
        return result, times


async def _wait_until_gone(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _num_workers(model: Model) -> int:
    on_cpu = model.choice.device == "cpu"
    return max(1, num_cores() // model.choice.threads) if on_cpu else 1
