"""The models behind all interfaces: they load, get ready, and do the work of requests."""

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
"""Of the memory, what compiled sizes may take between requests."""


class Service:
    """Models, the engine that runs them, and whether they are ready."""

    def __init__(self, config: ServeConfig) -> None:
        """Load the weights; `start` makes the networks ready.

        Raises:
            ConfigError: weights, runtime, device or precision that cannot be used.
        """
        self.config = config
        self.models = load_models(config)
        self.default = next(iter(self.models))
        self.num_workers = config.model.workers or _num_workers(self.models[self.default])
        num_bytes = MemoryBudget.settle(config.limits.memory_mb).num_bytes
        self._kept = MemoryBudget(round(_KEPT_SHARE * num_bytes))
        self.budget = MemoryBudget(num_bytes - self._kept.num_bytes)
        """What bodies, work and answers reserve their memory from."""
        self.engine = Engine(
            max_requests=config.limits.requests,
            max_wait_s=config.limits.wait_s,
            max_work_s=config.limits.work_s,
            budget=self.budget,
        )
        # One thread, as parsing holds the interpreter lock: health is asked in between.
        self._parser = ThreadPoolExecutor(1, thread_name_prefix="parser")
        self.metrics = Metrics(lambda: self.engine.num_admitted)
        self.failure: BaseException | None = None
        """The error that kept the networks from becoming ready."""
        self.stopping = threading.Event()
        self._ready = threading.Event()

    @property
    def ready(self) -> bool:
        """Whether requests are served."""
        return self._ready.is_set() and not self.stopping.is_set()

    def start(self) -> None:
        """Make every network ready for `model.warm_up_sizes`, then start the workers."""
        try:
            networks = [Networks(self.models, self._kept) for _ in range(self.num_workers)]
            for worker in networks:
                for name in self.models:
                    for height, width in self.config.model.warm_up_sizes:
                        if self.stopping.is_set():
                            return
                        worker.segment(name, np.zeros((height, width, 3), np.uint8))
        except BaseException as error:
            self.failure = error
            return
        self.engine.start(networks)
        self._ready.set()
        self.metrics.ready.set(1)
        names = ", ".join(self.models)
        log.info("ready: %s; requests at once: %d", names, self.num_workers)

    def close(self, timeout_s: float) -> bool:
        """End the workers once all that waits is done, or after a time.

        Returns:
            False if a worker has still not ended, as it is within a library.
        """
        self.stopping.set()
        self._parser.shutdown(wait=False, cancel_futures=True)
        return self.engine.close(timeout_s)

    def model(self, name: str | None) -> Model:
        """Return the model of that name; None: the default.

        Raises:
            RefusedError: there is none.
        """
        found = self.models.get(self.default if name is None else name)
        if found is None:
            known = ", ".join(self.models)
            raise RefusedError("unknown_model", f"model {name!r}: known are {known}")
        return found

    def check_room(self) -> None:
        """Let a request go on, before its body is read, that there is a place for now.

        Raises:
            RefusedError: not yet ready, no longer, or all places are taken.
        """
        if not self.ready:
            reason = (
                "the service is stopping" if self.stopping.is_set() else "the models are loading"
            )
            raise RefusedError("not_ready", reason, retry_after_s=_NOT_READY_S)
        self.engine.check_room()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place for a request, from when its body is there until its answer is.

        Raises:
            RefusedError: see `check_room`.
        """
        self.check_room()
        with self.engine.admitted():
            yield

    def hold(self, request: Request, num_bytes: int, *, what: str) -> None:
        """Reserve memory until the request's answer is sent.

        Raises:
            RefusedError: so much is not free, or is more than there is.
        """
        try:
            held(request.scope).enter_context(self.budget.reserve(num_bytes, what=what))
        except OverBudgetError as error:
            retry_after_s = self.engine.retry_after_s()
            raise RefusedError("busy", str(error), retry_after_s=retry_after_s) from error

    async def parse(self, parse: Callable[[], T]) -> T:
        """Return what a function makes of what a client sent, away from the event loop."""
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
        """Return what a worker makes of a request, and the time that it took.

        Args:
            request: of which the body has been read; the work ends if its client goes away.
            work: gets the worker's networks, a clock for its stages, and how long it may go on.
            model: the model that it uses, for the metrics.
            is_quick: whether a worker can do it without a compilation.
            num_bytes: memory that the work takes.
            num_images: the images in the request, for the metrics.

        Raises:
            RefusedError: no worker, or not enough memory, was free in time; also what the work
                raises.
            ClientDisconnect: the client has gone.
        """
        if num_bytes > self.budget.num_bytes:
            raise RefusedError(
                "too_large",
                f"{num_bytes // 10**6} MB of memory would be needed, allowed are"
                f" {self.budget.num_bytes // 10**6} MB (limits.memory_mb)",
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
