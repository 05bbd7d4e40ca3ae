"""The metrics of a run in the text format of Prometheus; docs/live-view.md lists them."""

import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from icstream.pipeline.view.status import BOUNDS_S, Histogram, RunStatus, StreamStatus

_STATES = ("starting", "connecting", "running", "stalled", "backing off", "done", "failed")
_PLAIN = {
    "packets": "Packets read from the source",
    "decoded": "Frames decoded",
    "encoded": "Frames written by all sinks",
    "missing": "Frames listed in the file's index but missing",
}
_BY_REASON = {
    "dropped": "Frames dropped on purpose",
    "failed": "Frames that a stage could not process",
    "undecodable": "Packets that could not be decoded to a frame",
}


def metrics_text(status: RunStatus | None) -> bytes:
    """Return all metrics in the text format of Prometheus, or none before the first status."""
    registry = CollectorRegistry(auto_describe=False)
    if status is not None:
        registry.register(_Run(status))
    return generate_latest(registry)


class _Run(Collector):
    def __init__(self, status: RunStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """See base class."""
        status = self._status
        yield from _run(status)
        for stage in (_states, _counts, _rates):
            yield from stage(status.streams)
        service = _histogram("service", "Time that a stage worked on a frame", "stage")
        queueing = _histogram("queue", "Time that a frame waited for a stage", "stage")
        latency = _histogram("latency", "Time from the decoder until all sinks have a frame")
        for stream, times in status.times.items():
            _add_all(service, stream, times.service)
            _add_all(queueing, stream, times.queueing)
            _add(latency, [stream], times.total)
        yield from (service, queueing, latency)


def _run(status: RunStatus) -> Iterator[Metric]:
    network = status.network
    info = GaugeMetricFamily(
        "icstream_info",
        "Version and inference backend; always 1",
        labels=["version", "device", "runtime", "precision"],
    )
    info.add_metric([status.version, network.device, network.runtime, network.precision], 1)
    yield info
    yield GaugeMetricFamily("icstream_uptime_seconds", "Time since the run began", status.uptime_s)
    yield GaugeMetricFamily(
        "icstream_network_warm", "1 if a replica of the network is ready", int(network.warm)
    )
    yield CounterMetricFamily(
        "icstream_restarts", "Workers that were lost and replaced", status.restarts
    )
    memory = GaugeMetricFamily(
        "icstream_process_resident_memory_bytes",
        "Resident memory of each process, including shared memory",
        labels=["process"],
    )
    for process in status.processes:
        resident = _resident_bytes(process.pid)
        if resident is not None:
            memory.add_metric([process.label], resident)
    yield memory


def _states(streams: list[StreamStatus]) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "icstream_stream_state",
        "1 for the state that a stream is in, 0 for the others",
        labels=["stream", "state"],
    )
    connections = CounterMetricFamily(
        "icstream_connections", "Connections to the source", labels=["stream"]
    )
    for stream in streams:
        for state in dict.fromkeys((*_STATES, stream.state)):
            states.add_metric([stream.name, state], int(state == stream.state))
        connections.add_metric([stream.name], stream.connections)
    yield from (states, connections)


def _counts(streams: list[StreamStatus]) -> Iterator[Metric]:
    for name, meaning in _PLAIN.items():
        counter = CounterMetricFamily(f"icstream_frames_{name}", meaning, labels=["stream"])
        for stream in streams:
            counter.add_metric([stream.name], getattr(stream, name))
        yield counter
    for name, meaning in _BY_REASON.items():
        counter = CounterMetricFamily(
            f"icstream_frames_{name}", f"{meaning}, by reason", labels=["stream", "reason"]
        )
        for stream in streams:
            for reason, count in getattr(stream, name).items():
                counter.add_metric([stream.name, reason], count)
        yield counter


def _rates(streams: list[StreamStatus]) -> Iterator[Metric]:
    in_flight = GaugeMetricFamily(
        "icstream_frames_in_flight",
        "Frames in a stage or waiting for it",
        labels=["stream", "stage"],
    )
    rate = GaugeMetricFamily(
        "icstream_frames_per_second",
        "Frames written per second over the last five seconds",
        labels=["stream"],
    )
    age = GaugeMetricFamily(
        "icstream_queue_age_seconds", "Age of the oldest frame in flight", labels=["stream"]
    )
    last = GaugeMetricFamily(
        "icstream_last_frame_age_seconds", "Time since a frame was last finished", labels=["stream"]
    )
    for stream in streams:
        for stage, count in stream.in_flight.items():
            in_flight.add_metric([stream.name, stage], count)
        rate.add_metric([stream.name], stream.frames_per_second)
        age.add_metric([stream.name], stream.queue_age_s)
        if stream.last_frame_s is not None:
            last.add_metric([stream.name], stream.last_frame_s)
    yield from (in_flight, rate, age, last)


def _histogram(name: str, meaning: str, *labels: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"icstream_{name}_seconds", meaning, labels=["stream", *labels])


def _add_all(family: HistogramMetricFamily, stream: str, times: Mapping[str, Histogram]) -> None:
    for stage, histogram in times.items():
        _add(family, [stream, stage], histogram)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    bounds = [str(bound) for bound in BOUNDS_S]
    buckets: list[tuple[str, float]] = list(zip(bounds, histogram.counts, strict=True))
    family.add_metric(labels, [*buckets, ("+Inf", histogram.total)], histogram.sum_s)


def _resident_bytes(pid: int) -> int | None:
    """Return the resident memory of a process in bytes, or None if it is unknown."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return None
    return int(pages) * resource.getpagesize()
