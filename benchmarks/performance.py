"""Measure how speed depends on settings, and draw charts.

    python benchmarks/performance.py VIDEO -o runs/performance
    python benchmarks/performance.py VIDEO -o runs/performance --only sizes sinks

Writes figures.json, tables.md and an image for each series. Within a series the settings alternate
in rounds, so that slow phases of the machine affect all of them. Needs `ffmpeg`, to scale the
video, and matplotlib.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from charts import draw
from peers import PEERS, Peer

from icstream.model import LabelSet, load_weights
from icstream.pipeline.diagnostics.bench import PipelineTiming, time_pipeline
from icstream.pipeline.settings.run import load_config
from icstream.stages.latency import Latency

_WIDTHS = {"480x270": 480, "960x540": 960, "1280x720": 1280, "2048x1024": 2048}


@dataclass(frozen=True, slots=True)
class Setting:
    """One bar of a series."""

    label: str
    options: dict[str, Any] = field(default_factory=dict)
    """The options of `icstream run`, by their keys in the configuration."""
    sources: int = 1
    """The number of simultaneous copies of the recording."""
    size: str | None = None
    """The size to which the recording is scaled."""
    classes: int | None = None
    """The number of classes of the network; additional ones never win, so that masks are
    unchanged."""


SERIES: dict[str, tuple[Setting, ...]] = {
    "sizes": tuple(Setting(size, size=size) for size in _WIDTHS),
    "precision": tuple(
        Setting(name, {"model.precision": name}) for name in ("fp32", "bf16", "int8")
    ),
    "replicas": (
        Setting("1 x 1", {"pipeline.replicas": 1, "model.threads": 1}),
        Setting("1 x 2", {"pipeline.replicas": 1, "model.threads": 2}),
        Setting("2 x 1", {"pipeline.replicas": 2, "model.threads": 1}),
    ),
    "streams": tuple(Setting(f"{count}", sources=count) for count in (1, 2, 4)),
    "classes": tuple(Setting(f"{count}", classes=count) for count in (2, 11, 19, 50)),
    "sinks": tuple(
        Setting(name, {"output.sinks": name.split("+")})
        for name in ("masks", "png", "rle", "areas", "overlay", "masks+overlay")
    ),
    "transport": tuple(
        Setting(name, {"pipeline.transport": name}) for name in ("shm", "ipc", "tcp")
    ),
}


def main() -> None:
    """Parse the command line, measure, write and draw."""
    parser = argparse.ArgumentParser(description="Measure how speed depends on settings.")
    parser.add_argument("video", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--weights", default="camvid")
    parser.add_argument("--frames", type=int, default=100, help="per setting and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=[*SERIES, "peers"], help="series")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "figures.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for name in options.only or [*SERIES, "peers"]:
        print(name, flush=True)
        measure = _peers if name == "peers" else _series
        results[name] = measure(name, options)
        kept.write_text(json.dumps(results, indent=2) + "\n")
        draw(results[name], options.out / f"{name}.png", title=name)
    (options.out / "tables.md").write_text("\n".join(_tables(results)))


def _series(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row of results for each setting that this machine and these weights support."""
    settings = [s for s in SERIES[name] if _is_offered(s, options.weights)]
    rounds: dict[str, list[PipelineTiming]] = {setting.label: [] for setting in settings}
    for number in range(options.rounds):
        for setting in settings:
            with tempfile.TemporaryDirectory(prefix="icstream-performance-") as folder:
                rounds[setting.label].append(_run(setting, options, Path(folder)))
            print(f"  round {number + 1}: {setting.label}", flush=True)
    return [_row(label, values) for label, values in rounds.items()]


def _run(setting: Setting, options: argparse.Namespace, folder: Path) -> PipelineTiming:
    video = _scaled(options.video, setting.size, options.out)
    weights = options.weights
    if setting.classes is not None:
        weights = str(_with_classes(weights, setting.classes, options.out))
    overrides = {"model.weights": weights, "output.sinks": ["masks"], **setting.options}
    frames = options.frames * setting.sources
    return time_pipeline(
        load_config(None, (), overrides), [str(video)] * setting.sources, folder, frames
    )


def _row(label: str, rounds: Sequence[PipelineTiming]) -> dict[str, Any]:
    per_second = [1 / timing.seconds_per_frame for timing in rounds]
    kinds = {kind for timing in rounds for kind in timing.core_ms}
    age = Latency()
    for timing in rounds:
        age.merge(timing.age)
    return {
        "label": label,
        "frames_per_second": statistics.median(per_second),
        "spread": [min(per_second), max(per_second)],
        "core_ms": {
            kind: statistics.median(timing.core_ms.get(kind, 0.0) for timing in rounds)
            for kind in sorted(kinds)
        },
        "latency_ms": age.summary(),
    }


def _peers(_name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each peer that is installed, and for the pipeline with PNG files."""
    ours = Setting("icstream", {"output.sinks": ["png"]})
    found = [peer for peer in PEERS if peer.is_installed()]
    per_second: dict[str, list[float]] = {ours.label: []}
    per_second.update({peer.label: [] for peer in found})
    for _ in range(options.rounds):
        for label, seconds in _each_once(ours, found, options):
            per_second[label].append(1 / seconds)
    return [
        {
            "label": label,
            "frames_per_second": statistics.median(values),
            "spread": [min(values), max(values)],
        }
        for label, values in per_second.items()
    ]


def _each_once(
    ours: Setting, peers: Sequence[Peer], options: argparse.Namespace
) -> Iterator[tuple[str, float]]:
    def timed(action: Callable[[Path], float]) -> float:
        with tempfile.TemporaryDirectory(prefix="icstream-performance-") as folder:
            return action(Path(folder))

    yield ours.label, timed(lambda folder: _run(ours, options, folder).seconds_per_frame)
    for peer in peers:
        yield peer.label, timed(lambda folder, peer=peer: peer.time(options.video, folder))  # type: ignore[misc]


def _is_offered(setting: Setting, weights: str) -> bool:
    """Return whether the setting's precision was measured for these weights."""
    precision = setting.options.get("model.precision", "fp32")
    return precision == "fp32" or precision in load_weights(weights).agreement


def _with_classes(weights: str, num_classes: int, folder: Path) -> Path:
    """Return a checkpoint of the same network with more classes, which never win."""
    checkpoint = load_weights(weights)
    path = folder / f"classes_{num_classes}_{checkpoint.digest()[:8]}.safetensors"
    if path.exists():
        return path
    tensors = dict(checkpoint.tensors)
    count = len(checkpoint.labels)
    chosen = torch.arange(num_classes).clamp(max=count - 1)
    for head in ("classifier", "cff12.aux", "cff24.aux"):
        tensors[f"{head}.weight"] = tensors[f"{head}.weight"][chosen]
        bias_K = tensors[f"{head}.bias"][chosen].clone()
        bias_K[count:] = -1e4
        tensors[f"{head}.bias"] = bias_K
    names = [*checkpoint.labels.names, *(f"new {k}" for k in range(num_classes))][:num_classes]
    labels = LabelSet(tuple(names), tuple((k, k, k) for k in range(num_classes)))
    config = replace(checkpoint.config, num_classes=num_classes)
    replace(checkpoint, config=config, labels=labels, tensors=tensors).save(path)
    return path


def _scaled(video: Path, size: str | None, folder: Path) -> Path:
    if size is None:
        return video
    scaled = folder / f"{video.stem}_{size}.mp4"
    if not scaled.exists():
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            str(video),
            "-vf",
            f"scale={size.replace('x', ':')}",
        ]
        encoding = ["-c:v", "libx264", "-pix_fmt", "yuv420p"]
        subprocess.run([*command, *encoding, str(scaled)], check=True)
    return scaled


def _tables(results: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for name, rows in results.items():
        yield f"\n{name}:\n"
        first = rows[0]["frames_per_second"]
        kinds = sorted({kind for row in rows for kind in row.get("core_ms", {})})
        heads = ["", "frames/s", "ratio", *(f"{kind}, core-ms" for kind in kinds)]
        has_times = "latency_ms" in rows[0]
        heads += ["latency p50, ms", "p95"] if has_times else []
        yield f"| {' | '.join(heads)} |"
        yield "| --- |" + " --- |" * (len(heads) - 1)
        for row in rows:
            cells = [f"{row.get('core_ms', {}).get(kind, 0):.1f}" for kind in kinds]
            speed = row["frames_per_second"]
            cells = [row["label"], f"{speed:.1f}", f"{speed / first:.2f}", *cells]
            if has_times:
                cells += [f"{row['latency_ms'][name]:.0f}" for name in ("p50", "p95")]
            yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
