"""The models behind all interfaces: they load, get ready, and do the work of requests."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from icstream.pipeline.plan.inference import num_cores
from icstream.pipeline.serve.engine import Engine
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.metrics import Metrics, Times
from icstream.pipeline.serve.models import Model, Networks, load_models
from icstream.pipeline.settings.serve import ServeConfig

log = logging.getLogger(__name__)

T = TypeVar("T")
_NOT_READY_S = 2


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
        self.engine = Engine(max_requests=config.limits.requests, max_wait_s=config.limits.wait_s)
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
            networks = [Networks(self.models) for _ in range(self.num_workers)]
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

    def close(self) -> None:
        """End the workers once all that waits is done."""
        self.stopping.set()
        self.engine.close()

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

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place for a request, from before its body is read until it is answered.

        Raises:
            RefusedError: not yet ready, no longer, or all places are taken.
        """
        if not self.ready:
            reason = (
                "the service is stopping" if self.stopping.is_set() else "the models are loading"
            )
            raise RefusedError("not_ready", reason, retry_after_s=_NOT_READY_S)
        with self.engine.admitted():
            yield

    async def run(
        self,
        work: Callable[[Networks, Times], T],
        *,
        model: Model,
        is_quick: Callable[[Networks], bool],
        num_images: int = 1,
    ) -> tuple[T, Times]:
        """Return what a worker makes of a request, and the time that it took.

        Args:
            work: gets the worker's networks, and a clock for its stages.
            model: the model that it uses, for the metrics.
            is_quick: whether a worker can do it without a compilation.
            num_images: the images in the request, for the metrics.

        Raises:
            RefusedError: no worker was free in time; also what the work raises.
        """
        times = Times()

        def timed(networks: Networks) -> T:
            times.start_work()
            return work(networks, times)

        result = await self.engine.run(timed, is_quick=is_quick)
        self.metrics.images.labels(model.name).inc(num_images)
        self.metrics.count_stages(times)
        return result, times


def _num_workers(model: Model) -> int:
    on_cpu = model.choice.device == "cpu"
    return max(1, num_cores() // model.choice.threads) if on_cpu else 1
