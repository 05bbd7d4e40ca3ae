"""Test the promises of icstream thousands of times, and write a page about them.

    python benchmarks/record.py -o docs/reliability
    python benchmarks/record.py -o docs/reliability --only kills-view power-cuts
    python benchmarks/record.py -o runs/short --share 0.01

Each portion is saved in record.json, so the script may be interrupted at any time; the next call
continues until every trial has reached its target. Faults do not stop it; they are listed on the
page, and the exit code is 1. Needs matplotlib, GStreamer's RTSP server (see .ci/run), and root for
power cuts.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reliability import cameras, frames, inputs, kills, power_cuts
from reliability.page import write_page
from reliability.trial import Outcome, Trial

from icstream.model.files import write_atomically
from icstream.model.runtimes.cpu import cpu_name

TRIALS: tuple[Trial, ...] = (
    *kills.TRIALS,
    *power_cuts.TRIALS,
    *frames.TRIALS,
    *inputs.TRIALS,
    *cameras.TRIALS,
)
_STATE = "record.json"
_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Parse the command line, continue the trials, and write the page after each portion."""
    parser = argparse.ArgumentParser(
        description="Test the promises of icstream thousands of times."
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="folder of the page and the state"
    )
    parser.add_argument("--only", nargs="+", metavar="TRIAL", choices=[t.name for t in TRIALS])
    parser.add_argument("--share", type=float, default=1.0, help="part of each target, 0 to 1")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no portion after")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = [trial for trial in TRIALS if options.only is None or trial.name in options.only]
    portions = _load(options.out / _STATE)
    deadline_s = time.monotonic() + 60 * options.minutes
    for trial in wanted:
        target = max(1, math.ceil(trial.target * options.share))
        done = portions.setdefault(trial.name, [])
        while (left := target - sum(p["done"] for p in done)) > 0 and time.monotonic() < deadline_s:
            done.append(_try(trial, min(left, trial.portion), seed=len(done)))
            _save(options.out / _STATE, portions)
            write_page(options.out, TRIALS, portions)
            if not done[-1]["done"]:
                break  # It cannot be tried here; the fault states why.
    write_page(options.out, TRIALS, portions)
    return 1 if any(p["faults"] for trial in wanted for p in portions[trial.name]) else 0


def _try(trial: Trial, count: int, *, seed: int) -> dict[str, Any]:
    """Run one portion, and return its entry for the state file."""
    print(f"{trial.name}: {count} {trial.unit} ...", flush=True)
    began_s, begin = time.time(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="icstream-record-") as name:
        try:
            outcome = trial.run(count, seed, Path(name))
        except Exception as error:  # the other trials continue
            outcome = Outcome(done=0, faults=[f"not tried: {type(error).__name__}: {error}"])
    wall_s = time.monotonic() - begin
    print(f"  {outcome.done} done in {wall_s:.0f} s, {len(outcome.faults)} faults", flush=True)
    for fault in outcome.faults:
        print(f"  FAULT: {fault}", flush=True)
    return {
        **asdict(outcome),
        "began_s": round(began_s),
        "wall_s": round(wall_s, 1),
        "commit": _commit(),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, {platform.system()}",
        "command": " ".join(["python", "benchmarks/record.py", *sys.argv[1:]]),
    }


def _commit() -> str:
    """Return the commit of this checkout, with a plus if files differ from it."""
    words = ["git", "-C", str(_ROOT), "describe", "--always", "--abbrev=7", "--dirty=+"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _load(path: Path) -> dict[str, list[dict[str, Any]]]:
    return dict(json.loads(path.read_bytes())) if path.exists() else {}


def _save(path: Path, portions: dict[str, list[dict[str, Any]]]) -> None:
    content = json.dumps(_rounded(portions), separators=(",", ":")).encode()
    write_atomically(path, content, durable=True)


def _rounded(value: Any) -> Any:
    """Round measured values to significant digits, as a soak has thousands of them."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return (
        [_rounded(entry) for entry in value]
        if isinstance(value, Sequence) and not isinstance(value, str)
        else value
    )


if __name__ == "__main__":
    sys.exit(main())
