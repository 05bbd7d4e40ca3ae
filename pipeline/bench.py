"""How fast a recording is segmented, in ratios taken within one run.

Machines are noisy and differ, so what is compared takes turns, round by round, and the medians are
set in relation: the pipeline to the naive script, the pipeline to the bare network, and the network
in its engine to the plain graph in eager PyTorch.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model import Checkpoint, ConfigError, Segmenter, load_weights
from icstream.model.icnet import pad_to_network_size
from icstream.pipeline.chain import Chain
from icstream.pipeline.config import RunConfig
from icstream.pipeline.naive import segment_naively
from icstream.pipeline.report import chosen
from icstream.pipeline.run import build_stages, open_segmenter
from icstream.stages import Books, Frame
from icstream.stages.decode import open_source
from icstream.stages.sinks import SinkContext, open_sink
from icstream.stages.sources import SourceSpec, find_sources

_WARM_UP = 5
"""Frames of each measurement that are not timed."""


@dataclass(frozen=True, slots=True)
class BenchFigures:
    """Seconds per frame, one value per round."""

    naive: list[float]
    pipeline: list[float]
    bare: list[float]
    eager: list[float]
    segmenter: Segmenter
    latency_ms: dict[str, dict[str, float]]

    def ratios(self) -> dict[str, float]:
        """Gives how many times faster the first is than the second, by medians."""

        def ratio(slow: list[float], fast: list[float]) -> float:
            return round(statistics.median(slow) / statistics.median(fast), 3)

        return {
            "pipeline_vs_naive": ratio(self.naive, self.pipeline),
            "pipeline_vs_bare": ratio(self.bare, self.pipeline),
            "engine_vs_eager": ratio(self.eager, self.bare),
        }

    def values(self) -> dict[str, Any]:
        """Gives the figures as plain JSON values."""
        return {
            "ratios": self.ratios(),
            "seconds_per_frame": {name: getattr(self, name) for name in _MEASURED},
            "latency_ms": self.latency_ms,
            "chosen": chosen(self.segmenter),
        }

    def lines(self) -> list[str]:
        """Gives the figures for people."""
        choice = self.segmenter.choice
        lines = [
            f"{choice.runtime} on {choice.device} in {choice.precision}, {choice.threads} threads"
        ]
        for name in _MEASURED:
            values: list[float] = getattr(self, name)
            middle = statistics.median(values)
            spread = f"{1e3 * min(values):.1f} to {1e3 * max(values):.1f}"
            lines.append(
                f"{name:9} {1e3 * middle:8.1f} ms per frame ({spread}), {1 / middle:.1f} /s"
            )
        return lines + [f"{name:18} x{value:.2f}" for name, value in self.ratios().items()]


_MEASURED = ("naive", "pipeline", "bare", "eager")


def bench(config: RunConfig, source: str, *, num_frames: int, rounds: int) -> BenchFigures:
    """Measures on the first frames of a recording, with the masks sink.

    Raises:
        ConfigError: not one video file, or too few frames in it.
    """
    specs = find_sources([source])
    if len(specs) != 1 or specs[0].kind != "video":
        raise ConfigError(f"{source}: bench takes one video file")
    segmenter = open_segmenter(config)
    assert config.model.weights is not None
    checkpoint = load_weights(config.model.weights)
    threads = segmenter.choice.threads
    with open_source(specs[0], books=Books()) as opened:
        frames = (item for item in opened if isinstance(item, Frame))
        pictures = [f.picture for f in islice(frames, num_frames) if f.picture is not None]
    if len(pictures) <= _WARM_UP:
        raise ConfigError(f"{source}: bench needs more than {_WARM_UP} frames, got {len(pictures)}")
    eager = _Eager(checkpoint, threads)
    measured: dict[str, list[float]] = {name: [] for name in _MEASURED}
    latency: dict[str, dict[str, float]] = {}
    slow = max(_WARM_UP + 1, num_frames // 8)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="icstream-bench-") as name:
            folder = Path(name)
            measured["naive"].append(
                segment_naively(
                    checkpoint, specs[0].paths[0], folder, num_frames=slow, threads=threads
                )
            )
            seconds, latency = _pipeline(specs[0], segmenter, folder, len(pictures), config)
        measured["pipeline"].append(seconds)
        measured["bare"].append(_each(segmenter, pictures))
        measured["eager"].append(_each(eager, pictures[: slow + _WARM_UP]))
    return BenchFigures(**measured, segmenter=segmenter, latency_ms=latency)


class _Eager:
    """The plain graph: a normalised picture in, logits at full size out."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = checkpoint.build()
        self._mean = torch.tensor(checkpoint.preprocessing.mean_rgb)

    @torch.inference_mode()
    def __call__(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        x_NCHW = (torch.from_numpy(picture).float() - self._mean).permute(2, 0, 1)[None]
        logits: torch.Tensor = self._model(pad_to_network_size(x_NCHW))
        return logits


def _each(
    function: Callable[[NDArray[np.uint8]], object], pictures: list[NDArray[np.uint8]]
) -> float:
    for picture in pictures[:_WARM_UP]:
        function(picture)
    start = time.perf_counter()
    for picture in pictures[_WARM_UP:]:
        function(picture)
    return (time.perf_counter() - start) / (len(pictures) - _WARM_UP)


def _pipeline(
    spec: SourceSpec, segmenter: Segmenter, folder: Path, num_frames: int, config: RunConfig
) -> tuple[float, dict[str, dict[str, float]]]:
    """Gives seconds per frame after the warm-up, and the latencies by stage."""
    books = Books()
    sinks = [open_sink("masks", SinkContext(folder, segmenter.labels, spec.paths[0]))]
    stages, encode = build_stages(segmenter, sinks, books, keep_picture=False)
    chain = Chain(stages, books=books, should_stop=lambda: books.decoded >= num_frames)
    with open_source(spec, books=books, threads=config.decode.threads) as opened:
        finished = (item for item in chain.run(opened) if isinstance(item, Frame))
        _take(finished, _WARM_UP)
        start = time.perf_counter()
        count = _take(finished, None)
        encode.close()
        seconds = (time.perf_counter() - start) / count
    return seconds, {stage: latency.summary() for stage, latency in chain.latency.items()}


def _take(items: Iterator[Frame], count: int | None) -> int:
    return sum(1 for _ in islice(items, count))
