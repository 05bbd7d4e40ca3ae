"""Snapshots of the status of a run, taken in the hub's thread."""

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import msgspec

from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.processes import WorkerProcess
from icstream.pipeline.hub.stream_progress import Rate, describe_state
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.plan.inference import Inference
from icstream.pipeline.view.status import (
    BOUNDS_S,
    ClassStatus,
    Histogram,
    NetworkStatus,
    ProcessStatus,
    RunStatus,
    StreamStatus,
    StreamTimes,
)
from icstream.stages.latency import Latency

_RECENT_S = 10.0


@dataclass(slots=True)
class _Recent:
    """Data of earlier snapshots of a stream, for rates and recent latencies."""

    rate: Rate = field(default_factory=Rate)
    seen: deque[tuple[float, Latency]] = field(default_factory=deque)
    """Times within the last seconds, each with all latencies up to it."""
    num_encoded: int = 0
    last_frame: float | None = None
    times: tuple[int, StreamTimes] | None = None
    """Number of frames and durations of the last snapshot."""
    final: StreamStatus | None = None
    """Final status of a closed stream, of which only ages still change."""


class SnapshotTaker:
    """Takes snapshots of the status of a run."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._version = version("icstream")
        self._started = time.monotonic()
        self._recent: dict[str, _Recent] = {}
        labels = inference.labels
        self._classes = [
            ClassStatus(name, color)
            for name, color in zip(labels.names, labels.colors, strict=True)
        ]

    def take(
        self,
        streams: Sequence[StreamState],
        workers: Iterable[WorkerProcess],
        *,
        restarts: int,
        over: bool,
    ) -> RunStatus:
        """Return the present status.

        Args:
            streams: the streams that have begun.
            workers: the workers of the run.
            restarts: the number of workers that were replaced.
            over: whether the run has ended.
        """
        choice, workers = self._inference.choice, list(workers)
        return RunStatus(
            version=self._version,
            uptime_s=round(time.monotonic() - self._started, 1),
            over=over,
            restarts=restarts,
            network=NetworkStatus(
                choice.device,
                choice.runtime,
                choice.precision,
                self._inference.replicas,
                warm=any(worker.kind == "segment" and worker.ready for worker in workers),
            ),
            classes=self._classes,
            streams=[self._status_of(stream) for stream in streams],
            processes=[
                ProcessStatus("hub", os.getpid()),
                *(ProcessStatus(worker.label, worker.process.pid) for worker in workers),
            ],
            times={stream.name: self._times_of(stream) for stream in streams},
        )

    def _status_of(self, stream: StreamState) -> StreamStatus:
        """Return the status of a stream, computed once for a closed stream."""
        recent = self._recent.setdefault(stream.name, _Recent())
        if recent.final is None:
            status = self._stream(stream, recent)
            recent.final = status if stream.phase is Phase.CLOSED else None
            return status
        state_s, last_frame_s = _ages(stream, recent)
        return msgspec.structs.replace(recent.final, state_s=state_s, last_frame_s=last_frame_s)

    def _times_of(self, stream: StreamState) -> StreamTimes:
        """Return the durations of a stream, recomputed if there are new ones."""
        recent, num_frames = self._recent[stream.name], stream.accounting.encoded
        if recent.times is None or recent.times[0] != num_frames:
            recent.times = num_frames, _times(stream)
        return recent.times[1]

    def _stream(self, stream: StreamState, recent: _Recent) -> StreamStatus:
        now, accounting = time.monotonic(), stream.accounting
        if accounting.encoded != recent.num_encoded:
            recent.num_encoded, recent.last_frame = accounting.encoded, now
        state_s, last_frame_s = _ages(stream, recent)
        starts = (lease.served["decode"].stop for lease in stream.leases)
        return StreamStatus(
            name=stream.name,
            state=describe_state(stream),
            state_s=state_s,
            connections=stream.source_status.connections,
            last_error=stream.error or stream.source_status.last_error,
            size=stream.info.size if stream.info else None,
            promised=stream.info.num_frames if stream.info else None,
            packets=accounting.packets,
            decoded=accounting.decoded,
            encoded=accounting.encoded,
            missing=accounting.missing,
            undecodable=dict(accounting.undecodable),
            dropped=dict(accounting.dropped),
            failed=dict(accounting.failed),
            in_flight={stage: hop.in_flight for stage, hop in stream.leases.stage_counts.items()},
            frames_per_second=round(recent.rate.of(stream), 2),
            queue_age_s=round(max(0.0, now - min(starts, default=now)), 3),
            last_frame_s=last_frame_s,
            latency_ms=_recent_latency(recent, stream.latency.total, now),
        )


def _ages(stream: StreamState, recent: _Recent) -> tuple[float, float | None]:
    """Return the time in seconds in the present state, and since the last frame."""
    now = time.monotonic()
    last_frame_s = None if recent.last_frame is None else round(now - recent.last_frame, 2)
    return round(now - stream.source_status.since_s, 1), last_frame_s


def _recent_latency(recent: _Recent, total: Latency, now: float) -> dict[str, float]:
    seen = recent.seen
    if not seen or now - seen[-1][0] >= 1:
        seen.append((now, total.copy()))
    while len(seen) > 1 and now - seen[0][0] > _RECENT_S:
        seen.popleft()
    return total.since(seen[0][1]).summary()


def _times(stream: StreamState) -> StreamTimes:
    return StreamTimes(
        {stage: _histogram(latency) for stage, latency in stream.latency.service.items()},
        {stage: _histogram(latency) for stage, latency in stream.latency.queueing.items()},
        _histogram(stream.latency.total),
    )


def _histogram(latency: Latency) -> Histogram:
    return Histogram(latency.histogram(BOUNDS_S), latency.count, latency.sum_s)
