"""The metrics of a service in the text format of Prometheus."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The metrics of one service."""

    def __init__(self, num_admitted: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Gauge("icstream_info", "Always 1.", ["version"], registry=self._registry).labels(
            version("icstream")
        ).set(1)
        Gauge(
            "icstream_requests_admitted",
            "Requests that wait or are processed.",
            registry=self._registry,
        ).set_function(num_admitted)
        self.ready = Gauge(
            "icstream_ready", "1 once all models are ready.", registry=self._registry
        )
        self.images = Counter(
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
            "Time from a request's headers to the end of its response.",
            ["path"],
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._stages = Histogram(
            "icstream_stage_seconds",
            "Time that a request waits for a worker, and spends in each stage of the work.",
            ["stage"],
            registry=self._registry,
            buckets=_SECONDS,
        )

    def count_response(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a response; `path` is the template of a route."""
        self._requests.labels(method, path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def count_stages(self, times: "Times") -> None:
        """Count the time of each stage of a request."""
        for stage, seconds in times.seconds.items():
            self._stages.labels(stage).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class Times:
    """The time of each stage of one request."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begun = time.monotonic()

    def start_work(self) -> None:
        """Record that a worker has started."""
        self.seconds["wait"] = time.monotonic() - self._begun

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the context to a stage."""
        begun = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun

    def header(self) -> str:
        """Return the value of the header Server-Timing, which browsers show."""
        return ", ".join(f"{name};dur={1000 * s:.1f}" for name, s in self.seconds.items())
