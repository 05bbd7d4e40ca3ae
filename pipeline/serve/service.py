"""What all interfaces share: the models, the engine, and whether they are ready."""

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
    """Models that can be asked."""

    def __init__(self, config: ServeConfig) -> None:
        """Loads the weights; `begin` makes the networks ready.

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
        """What kept the networks from becoming ready."""
        self.stopping = threading.Event()
        self._ready = threading.Event()

    @property
    def ready(self) -> bool:
        """True while requests are served."""
        return self._ready.is_set() and not self.stopping.is_set()

    def begin(self) -> None:
        """Makes every network ready for the sizes that are to be warm, then starts the workers."""
        try:
            networks = [Networks(self.models) for _ in range(self.num_workers)]
            for one in networks:
                for name in self.models:
                    for height, width in self.config.model.warm_up:
                        if self.stopping.is_set():
                            return
                        one.segment(name, np.zeros((height, width, 3), np.uint8))
        except BaseException as error:
            self.failure = error
            return
        self.engine.start(networks)
        self._ready.set()
        self.metrics.ready.set(1)
        names = ", ".join(self.models)
        log.info("ready: %s; requests at once: %d", names, self.num_workers)

    def close(self) -> None:
        """Ends the workers once all that waits is done."""
        self.stopping.set()
        self.engine.close()

    def model(self, name: str | None) -> Model:
        """Gives the model of that name; None: the default.

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
        """Holds a place for a request, from before its body is read until it is answered.

        Raises:
            RefusedError: not yet ready, no longer, or all places are taken.
        """
        if not self.ready:
            why = "the service is stopping" if self.stopping.is_set() else "the models are loading"
            raise RefusedError("not_ready", why, retry_after_s=_NOT_READY_S)
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
        """Has a worker do something, and counts it.

        Args:
            work: is given the worker's networks, and a clock for its parts.
            model: that it uses.
            is_quick: whether a worker can do it without a compilation.
            num_images: of them.

        Raises:
            RefusedError: no worker came to it in time; also what the work raises.
        """
        times = Times()

        def timed(networks: Networks) -> T:
            times.taken()
            return work(networks, times)

        result = await self.engine.run(timed, is_quick=is_quick)
        self.metrics.pictures.labels(model.name).inc(num_images)
        self.metrics.stages(times)
        return result, times


def _num_workers(model: Model) -> int:
    on_cpu = model.choice.device == "cpu"
    return max(1, num_cores() // model.choice.threads) if on_cpu else 1
