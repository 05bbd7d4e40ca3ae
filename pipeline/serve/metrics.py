"""Figures for monitoring, in Prometheus' form."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters of one service."""

    def __init__(self, num_admitted: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Gauge("icstream_info", "Always 1.", ["version"], registry=self._registry).labels(
            version("icstream")
        ).set(1)
        Gauge(
            "icstream_requests_admitted",
            "Requests that wait or are worked on.",
            registry=self._registry,
        ).set_function(num_admitted)
        self.ready = Gauge(
            "icstream_ready", "1 once all models are ready.", registry=self._registry
        )
        self.pictures = Counter(
            "icstream_pictures", "Images segmented.", ["model"], registry=self._registry
        )
        self._requests = Counter(
            "icstream_http_requests",
            "Requests answered.",
            ["method", "path", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "icstream_http_request_seconds",
            "From a request's headers to the end of its answer.",
            ["path"],
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._stages = Histogram(
            "icstream_stage_seconds",
            "Waiting for a worker, unpacking, the network, encoding.",
            ["stage"],
            registry=self._registry,
            buckets=_SECONDS,
        )

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Counts an answer; `path` is the template of a route."""
        self._requests.labels(method, path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def stages(self, times: "Times") -> None:
        """Counts what a request's work took."""
        for stage, seconds in times.seconds.items():
            self._stages.labels(stage).observe(seconds)

    def text(self) -> bytes:
        """Gives all figures as Prometheus reads them."""
        return generate_latest(self._registry)


class Times:
    """What the parts of one request's work took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begun = time.monotonic()

    def taken(self) -> None:
        """Notes that a worker has begun."""
        self.seconds["wait"] = time.monotonic() - self._begun

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds up what happens inside under a name."""
        begun = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun

    def header(self) -> str:
        """Gives the value of the header Server-Timing, which browsers show."""
        return ", ".join(f"{name};dur={1000 * s:.1f}" for name, s in self.seconds.items())
