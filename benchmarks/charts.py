"""Bar charts for `performance.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

_STAGES = ("decode", "preprocess", "segment", "encode", "hub")
_COLORS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#bbbbbb")


def draw(rows: Sequence[dict[str, Any]], path: Path, *, title: str) -> None:
    """Draw frames per second and, if available, core-ms by stage and latency."""
    panels = [_draw_speed]
    if "core_ms" in rows[0]:
        panels += [_draw_stages, _draw_latency]
    width, height = 4.2 * len(panels), 0.42 * len(rows) + 1.5
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(width, height), layout="constrained", squeeze=False, sharey=True
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        panel(axis, rows)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    axes[0, 0].set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_ylabel(title)
    if len(panels) > 1:
        figure.legend(loc="outside lower center", ncols=len(_STAGES), frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_speed(axis: Any, rows: Sequence[dict[str, Any]]) -> None:
    for place, row in enumerate(rows):
        speed, (low, high) = row["frames_per_second"], row["spread"]
        axis.barh(place, speed, color=_COLORS[0], height=0.6)
        axis.plot([low, high], [place, place], color="black", linewidth=1)
        axis.annotate(f" {speed:.1f}", (max(speed, high), place), va="center", fontsize=9)
    axis.set_title("frames per second", loc="left", fontsize=10)


def _draw_stages(axis: Any, rows: Sequence[dict[str, Any]]) -> None:
    starts = [0.0] * len(rows)
    for stage, color in zip(_STAGES, _COLORS, strict=True):
        widths = [row["core_ms"].get(stage, 0.0) for row in rows]
        axis.barh(range(len(rows)), widths, left=starts, color=color, label=stage, height=0.6)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    axis.set_title("core-milliseconds per frame", loc="left", fontsize=10)


def _draw_latency(axis: Any, rows: Sequence[dict[str, Any]]) -> None:
    for place, row in enumerate(rows):
        middle, late = row["latency_ms"]["p50"], row["latency_ms"]["p95"]
        axis.plot([middle, late], [place, place], color=_COLORS[0], linewidth=2)
        axis.plot(middle, place, "o", color=_COLORS[0])
        axis.annotate(f" {middle:.0f}, {late:.0f}", (late, place), va="center", fontsize=9)
    axis.set_xlim(left=0)
    axis.set_title("latency, p50 and p95, ms", loc="left", fontsize=10)
