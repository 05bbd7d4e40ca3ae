"""Bars for `performance.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

_STAGES = ("decode", "preprocess", "segment", "encode", "hub")
_COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#bbbbbb")


def draw_bars(rows: Sequence[dict[str, Any]], path: Path, *, title: str) -> None:
    """Draws frames per second, with the spread of the rounds."""
    figure, axes = pyplot.subplots(figsize=(6.4, 0.5 * len(rows) + 1.2), layout="constrained")
    for place, row in enumerate(rows):
        speed, (low, high) = row["frames_per_second"], row["spread"]
        axes.barh(place, speed, color=_COLOURS[0], height=0.6)
        axes.plot([low, high], [place, place], color="black", linewidth=1)
        axes.annotate(
            f" {speed:.1f}", (max(speed, high), place), va="center", textcoords="data", fontsize=9
        )
    _finish(figure, axes, rows, path, f"{title}: frames per second")


def draw_stages(rows: Sequence[dict[str, Any]], path: Path, *, title: str) -> None:
    """Draws the processor time per frame, stage upon stage."""
    figure, axes = pyplot.subplots(figsize=(6.4, 0.5 * len(rows) + 1.6), layout="constrained")
    starts = [0.0] * len(rows)
    for stage, colour in zip(_STAGES, _COLOURS, strict=True):
        widths = [row["core_ms"].get(stage, 0.0) for row in rows]
        axes.barh(range(len(rows)), widths, left=starts, color=colour, label=stage, height=0.6)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    figure.legend(loc="outside lower center", ncols=len(_STAGES), frameon=False, fontsize=9)
    _finish(figure, axes, rows, path, f"{title}: core-milliseconds per frame")


def _finish(figure: Any, axes: Any, rows: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
