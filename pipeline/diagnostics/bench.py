"""Measurement of the speed of segmentation, as ratios within one run.

Machines differ and are noisy, so the compared programs take turns, round by round, and the ratios
are those of medians: the pipeline to the naive script, the pipeline to the bare network, and the
network in its runtime to the plain graph in eager PyTorch.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model import Checkpoint, ConfigError, Segmenter, load_weights
from icstream.model.icnet import pad_to_network_size
from icstream.model.planar import interleaved
from icstream.pipeline.diagnostics.naive import segment_naively
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.processes import find_workers
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.plan.inference import Inference, plan_inference
from icstream.pipeline.run.report import describe_inference, latency_ms
from icstream.pipeline.run.result import RunResult
from icstream.pipeline.run.run import run_pipeline
from icstream.pipeline.settings.run import RunConfig
from icstream.stages import Frame, FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.latency import Latency

_WARM_UP = 5
"""Number of frames of each measurement that are not timed."""
_PIPELINE_WARM_UP = 12
"""Number of frames of the pipeline that are not timed, decoded mostly while the network loads."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The results in seconds per frame, with one value per round."""

    naive: list[float]
    pipeline: list[float]
    bare: list[float]
    eager: list[float]
    core_ms: dict[str, float]
    """CPU time per frame by kind of process, in milliseconds, as the median of the rounds."""
    result: RunResult
    """Result of the last round."""

    def ratios(self) -> dict[str, float]:
        """Return how many times as fast the first is as the second, by medians."""

        def ratio(slow: list[float], fast: list[float]) -> float:
            return round(statistics.median(slow) / statistics.median(fast), 3)

        return {
            "pipeline_vs_naive": ratio(self.naive, self.pipeline),
            "pipeline_vs_bare": ratio(self.bare, self.pipeline),
            "engine_vs_eager": ratio(self.eager, self.bare),
        }

    def values(self) -> dict[str, Any]:
        """Return the results as plain JSON values."""
        return {
            "ratios": self.ratios(),
            "seconds_per_frame": {name: getattr(self, name) for name in _MEASURED},
            "core_ms": {kind: round(value, 3) for kind, value in self.core_ms.items()},
            "latency_ms": latency_ms(stream.latency.service for stream in self.result.streams),
            "queue_ms": latency_ms(stream.latency.queueing for stream in self.result.streams),
            "chosen": describe_inference(self.result.inference),
        }

    def lines(self) -> list[str]:
        """Return the results as lines for people."""
        inference = self.result.inference
        choice = inference.choice
        lines = [
            f"{choice.runtime} on {choice.device} in {choice.precision},"
            f" replicas x threads: {inference.replicas} x {choice.threads}"
        ]
        for name in _MEASURED:
            values: list[float] = getattr(self, name)
            middle = statistics.median(values)
            spread = f"{1e3 * min(values):.1f} to {1e3 * max(values):.1f}"
            lines.append(
                f"{name:9} {1e3 * middle:8.1f} ms per frame ({spread}), {1 / middle:.1f} /s"
            )
        if self.core_ms:
            rest = sum(value for kind, value in self.core_ms.items() if kind != "segment")
            each = ", ".join(f"{kind} {value:.1f}" for kind, value in self.core_ms.items())
            lines.append(f"core-ms per frame: {each}; all but the network {rest:.1f}")
        return lines + [f"{name:18} x{value:.2f}" for name, value in self.ratios().items()]


_MEASURED = ("naive", "pipeline", "bare", "eager")


def measure_speed(config: RunConfig, source: str, *, num_frames: int, rounds: int) -> BenchResult:
    """Measure the speed on the first frames of a recording, with the masks sink.

    Raises:
        ConfigError: the source is not a single video file, or has too few frames.
    """
    specs = find_sources([source])
    if len(specs) != 1 or specs[0].kind != "video":
        raise ConfigError(f"{source}: bench needs a single video file")
    inference = plan_inference(config)
    checkpoint = load_weights(inference.weights)
    threads = inference.choice.threads * inference.replicas
    bare = _Bare(checkpoint, inference)
    with open_source(specs[0], accounting=FrameAccounting()) as opened:
        frames = (item for item in opened if isinstance(item, Frame))
        images = [interleaved(f.image) for f in islice(frames, num_frames) if f.image is not None]
    if len(images) <= _WARM_UP:
        raise ConfigError(f"{source}: bench needs more than {_WARM_UP} frames, got {len(images)}")
    eager = _Eager(checkpoint, threads)
    measured: dict[str, list[float]] = {name: [] for name in _MEASURED}
    spent: list[dict[str, float]] = []
    slow = max(_WARM_UP + 1, num_frames // 8)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="icstream-bench-") as name:
            folder = Path(name)
            measured["naive"].append(
                segment_naively(
                    checkpoint, specs[0].paths[0], folder, num_frames=slow, threads=threads
                )
            )
            timing = time_pipeline(config, [source], folder / "run", len(images))
        measured["pipeline"].append(timing.seconds_per_frame)
        spent.append(timing.core_ms)
        measured["bare"].append(bare.seconds_each(images))
        measured["eager"].append(_each(eager, images[: slow + _WARM_UP]))
    kinds = {kind for core_ms in spent for kind in core_ms}
    middle = {kind: statistics.median(c.get(kind, 0.0) for c in spent) for kind in sorted(kinds)}
    return BenchResult(**measured, core_ms=middle, result=timing.result)


class _Bare:
    """The network alone, in as many replicas as the pipeline has."""

    def __init__(self, checkpoint: Checkpoint, inference: Inference) -> None:
        self._replicas = [
            Segmenter.from_choice(checkpoint, inference.choice, fit=inference.fit)
            for _ in range(inference.replicas)
        ]

    def seconds_each(self, images: list[NDArray[np.uint8]]) -> float:
        """Return the time for all images together, divided by their number."""
        for replica in self._replicas:
            _each(replica, images[: _WARM_UP + 1])
        count = len(self._replicas)
        with ThreadPoolExecutor(count) as pool:
            start = time.perf_counter()
            for _ in pool.map(_through, self._replicas, [images[i::count] for i in range(count)]):
                pass
            return (time.perf_counter() - start) / len(images)


def _through(segmenter: Segmenter, images: list[NDArray[np.uint8]]) -> None:
    for image in images:
        segmenter(image)


class _Eager:
    """The plain graph, followed by argmax of the logits at full size."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = checkpoint.build()
        self._mean = torch.tensor(checkpoint.preprocessing.mean_rgb)

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.int64]:
        x_NCHW = (torch.from_numpy(image).float() - self._mean).permute(2, 0, 1)[None]
        logits_NKHW = self._model(pad_to_network_size(x_NCHW)).numpy()
        return np.asarray(logits_NKHW[0].argmax(0))  # three times as fast as in PyTorch


def _each(
    function: Callable[[NDArray[np.uint8]], object], images: list[NDArray[np.uint8]]
) -> float:
    for image in images[:_WARM_UP]:
        function(image)
    start = time.perf_counter()
    for image in images[_WARM_UP:]:
        function(image)
    return (time.perf_counter() - start) / (len(images) - _WARM_UP)


@dataclass(frozen=True, slots=True)
class PipelineTiming:
    """The speed of a run after its warm-up."""

    seconds_per_frame: float
    core_ms: dict[str, float]
    """CPU time per frame by kind of process, in milliseconds."""
    age: Latency
    """Latency from the decoder until all sinks have written a frame."""
    result: RunResult


def time_pipeline(
    config: RunConfig, sources: Sequence[str], folder: Path, num_frames: int
) -> PipelineTiming:
    """Run the pipeline until this number of frames, over all sources, is finished."""
    warm_up = min(_PIPELINE_WARM_UP, num_frames // 2)
    finished: list[float] = []
    spent: list[dict[str, float]] = []
    age = Latency()

    def note(_stream: StreamState, lease: Lease) -> None:
        finished.append(lease.served["encode"].stop)
        if len(finished) > warm_up:
            age.add(finished[-1] - lease.served["decode"].stop)
        if len(finished) in (warm_up, num_frames):
            spent.append(cpu_seconds())

    result = run_pipeline(
        config,
        sources,
        folder,
        progress=_Silence(),
        should_stop=lambda: len(finished) >= num_frames,
        on_frame=note,
    )
    finished = finished[warm_up - 1 : num_frames]
    count = len(finished) - 1
    before, after = spent[0], spent[-1]
    core_ms = {kind: 1e3 * (after[kind] - before.get(kind, 0)) / count for kind in after}
    return PipelineTiming((finished[-1] - finished[0]) / count, core_ms, age, result)


def cpu_seconds() -> dict[str, float]:
    """Return the CPU time, in seconds, of this process and its workers, by kind.

    Empty if the system has no `/proc`.
    """
    seconds: dict[str, float] = {}
    workers = [(worker.pid, worker.kind) for worker in find_workers(os.getpid())]
    for pid, kind in [(os.getpid(), "hub"), *workers]:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        seconds[kind] = seconds.get(kind, 0.0) + ticks / os.sysconf("SC_CLK_TCK")
    return seconds


class _Silence:
    def update(self, streams: Sequence[StreamState]) -> None:
        """Do nothing."""
