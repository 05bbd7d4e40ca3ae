"""The status of a run, which the hub sends to the view's process several times a second."""

import msgspec

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histograms' buckets."""


class ClassStatus(msgspec.Struct, frozen=True):
    """A class that masks may show."""

    name: str
    color: tuple[int, int, int] = msgspec.field(name="colour")


class NetworkStatus(msgspec.Struct, frozen=True):
    """What runs the network."""

    device: str
    runtime: str
    precision: str
    replicas: int
    warm: bool
    """At least one replica takes work."""


class ProcessStatus(msgspec.Struct, frozen=True):
    """A process of the run."""

    label: str
    pid: int


class Histogram(msgspec.Struct, frozen=True):
    """Durations, counted by their length."""

    counts: list[int]
    """The number of durations up to each of `BOUNDS_S`."""
    total: int
    sum_s: float


class StreamTimes(msgspec.Struct, frozen=True):
    """The time that the frames of a stream took, since the beginning."""

    service: dict[str, Histogram]
    queueing: dict[str, Histogram]
    total: Histogram


class StreamStatus(msgspec.Struct, frozen=True):
    """The status of a stream."""

    name: str
    state: str
    state_s: float | None
    """How long the stream has been in that state; None where that is not known."""
    connections: int
    last_error: str | None
    size: tuple[int, int] | None
    """(height, width) of the frames."""
    promised: int | None
    """Frames in the source's own index."""
    packets: int
    decoded: int
    encoded: int
    missing: int
    undecodable: dict[str, int]
    dropped: dict[str, int]
    failed: dict[str, int]
    in_flight: dict[str, int]
    """Frames in each stage, or waiting for it."""
    frames_per_second: float
    queue_age_s: float
    """Age of the oldest frame in flight."""
    last_frame_s: float | None
    """How long ago a frame was finished; None before the first."""
    latency_ms: dict[str, float]
    """p50, p95 and p99 from the decoder to all sinks, over the last seconds."""


class RunStatus(msgspec.Struct, frozen=True):
    """The status of a run."""

    version: str
    uptime_s: float
    over: bool
    restarts: int
    network: NetworkStatus
    classes: list[ClassStatus]
    streams: list[StreamStatus]
    processes: list[ProcessStatus]
    times: dict[str, StreamTimes]
    """The durations of each stream, by its name."""


_DECODER = msgspec.msgpack.Decoder(RunStatus)


def write_status(status: RunStatus) -> bytes:
    """Return a status as a message."""
    return msgspec.msgpack.encode(status)


def read_status(message: bytes) -> RunStatus:
    """Return the status in a message."""
    return _DECODER.decode(message)
