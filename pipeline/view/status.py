"""The status of a run, which the hub sends to the view's process several times per second."""

import msgspec

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histograms' buckets, in seconds."""


class ClassStatus(msgspec.Struct, frozen=True):
    """A class of the masks."""

    name: str
    color: tuple[int, int, int] = msgspec.field(name="colour")


class NetworkStatus(msgspec.Struct, frozen=True):
    """The inference backend."""

    device: str
    runtime: str
    precision: str
    replicas: int
    warm: bool
    """Whether at least one replica is ready."""


class ProcessStatus(msgspec.Struct, frozen=True):
    """A process of the run."""

    label: str
    pid: int


class Histogram(msgspec.Struct, frozen=True):
    """A histogram of durations."""

    counts: list[int]
    """Number of durations up to each of `BOUNDS_S`."""
    total: int
    sum_s: float


class StreamTimes(msgspec.Struct, frozen=True):
    """The durations of all frames of a stream so far."""

    service: dict[str, Histogram]
    queueing: dict[str, Histogram]
    total: Histogram


class StreamStatus(msgspec.Struct, frozen=True):
    """The status of a stream."""

    name: str
    state: str
    state_s: float | None
    """Time in this state, in seconds, or None if it is unknown."""
    connections: int
    last_error: str | None
    size: tuple[int, int] | None
    """Size of the frames, as (height, width)."""
    promised: int | None
    """Number of frames in the source's index."""
    packets: int
    decoded: int
    encoded: int
    missing: int
    undecodable: dict[str, int]
    dropped: dict[str, int]
    failed: dict[str, int]
    in_flight: dict[str, int]
    """Number of frames in each stage or waiting for it."""
    frames_per_second: float
    queue_age_s: float
    """Age of the oldest frame in flight, in seconds."""
    last_frame_s: float | None
    """Time since the last finished frame, in seconds; None before the first."""
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
    """Durations of each stream, by name."""


_DECODER = msgspec.msgpack.Decoder(RunStatus)


def write_status(status: RunStatus) -> bytes:
    """Return a status as a message."""
    return msgspec.msgpack.encode(status)


def read_status(message: bytes) -> RunStatus:
    """Return the status in a message."""
    return _DECODER.decode(message)
