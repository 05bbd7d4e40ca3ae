"""The page of the record: a table, the results of each trial, and plots."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from reliability.trial import Trial

Portion = Mapping[str, Any]
"""The entry of a portion in the state file: outcome, time, duration, commit and machine."""

_INTRODUCTION = """\
# The record

This page shows how often the promises of icstream were tried, and how often one was broken. Each
trial below tries one promise. Repeat the trials, or continue them, with

    python benchmarks/record.py -o docs/reliability

Trials are done in portions. Each portion states the commit and the machine that it ran on, and
`record.json` beside this page holds all of them. A fault is anything that was not as promised. All
faults are listed.
"""


def write_page(
    folder: Path, trials: Sequence[Trial], portions: Mapping[str, Sequence[Portion]]
) -> None:
    """Write README.md and a plot for each trial that measured something."""
    lines = [
        _INTRODUCTION,
        "| trial | done | target | faults | duration |",
        "| --- | --- | --- | --- | --- |",
    ]
    sections = []
    for trial in trials:
        done = portions.get(trial.name, ())
        num_faults = sum(len(portion["faults"]) for portion in done)
        hours = _duration(sum(portion["wall_s"] for portion in done))
        lines.append(
            f"| [{trial.name}](#{trial.name}) | {_total(done):,} {trial.unit} | {trial.target:,}"
            f" | {num_faults} | {hours} |"
        )
        sections += _section(trial, done, folder)
    (folder / "README.md").write_text("\n".join([*lines, "", *sections]) + "\n")


def _section(trial: Trial, portions: Sequence[Portion], folder: Path) -> list[str]:
    lines = [f"## {trial.name}", "", trial.promise, ""]
    if not portions:
        return [*lines, "Not done yet.", ""]
    for machine, commit in sorted({(p["machine"], p["commit"]) for p in portions}):
        some = [p for p in portions if (p["machine"], p["commit"]) == (machine, commit)]
        days = sorted({_day(portion["began_s"]) for portion in some})
        lines.append(
            f"- {_total(some):,} {trial.unit} at commit {commit} on {machine},"
            f" {' to '.join(sorted({days[0], days[-1]}))}"
        )
    counts: dict[str, int] = {}
    for portion in portions:
        for name, count in portion["counts"].items():
            counts[name] = counts.get(name, 0) + count
    lines += [f"- {name}: {count:,}" for name, count in counts.items()]
    values = _joined(portions)
    lines += [f"- {name}: {_spread(series)}" for name, series in values.items() if series]
    if any(values.values()):
        _plot(values, folder / f"{trial.name}.png")
        lines += ["", f"![{trial.name}]({trial.name}.png)"]
    faults = [fault for portion in portions for fault in portion["faults"]]
    lines += ["", f"Faults: {len(faults)}.", ""]
    lines += [f"- {' '.join(fault.split())}" for fault in faults] + [""] * bool(faults)
    return lines


def _total(portions: Sequence[Portion]) -> int:
    return sum(portion["done"] for portion in portions)


def _joined(portions: Sequence[Portion]) -> dict[str, list[float]]:
    joined: dict[str, list[float]] = {}
    for portion in portions:
        for name, series in portion["values"].items():
            joined.setdefault(name, []).extend(series)
    return joined


def _spread(series: Sequence[float]) -> str:
    middle = sorted(series)[len(series) // 2]
    return f"median {middle:.4g}, range {min(series):.4g} to {max(series):.4g}"


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def _day(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).date().isoformat()


def _plot(values: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draw a panel for each series, with values in the order of measurement."""
    figure, axes = pyplot.subplots(
        len(values), 1, figsize=(8, 2.2 * len(values)), layout="constrained", squeeze=False
    )
    for axis, (name, series) in zip(axes[:, 0], values.items(), strict=True):
        axis.plot(series, ".", markersize=3, color="#4477aa")
        axis.set_title(name, loc="left", fontsize=9)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
