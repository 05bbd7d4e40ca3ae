"""Kill workers of runs at random moments, and compare the results.

python benchmarks/chaos.py drive.mp4 --kills 200
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import av

from icstream.pipeline.hub.processes import find_workers

KINDS = ("decode", "preprocess", "segment", "encode")


def contents(folder: Path) -> dict[str, str]:
    """Return a checksum of each result file; for overlays, of the frames' times and sizes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name == "report.json":
            continue
        if path.name.startswith("overlay"):
            with av.open(path) as file:
                frames = [
                    (f.pts, str(f.time_base), f.width, f.height) for f in file.decode(video=0)
                ]
            content = repr(frames).encode()
        else:
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


@dataclass
class Tally:
    """The runs, the kills and the faults."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    faults: list[str] = field(default_factory=list)


def command(source: str, out: Path, options: list[str]) -> list[str]:
    """Return the command line of a run that may lose any number of workers."""
    return [
        *(sys.executable, "-m", "icstream.pipeline", "run", source, "-o", str(out), "--overwrite"),
        *("--weights", "streets", "--quiet", "--set", "supervision.max_restarts=10000"),
        *options,
    ]


def torment(
    source: str,
    out: Path,
    expected: dict[str, str],
    dice: random.Random,
    options: list[str],
    *,
    max_kills: int,
) -> tuple[Counter[str], str]:
    """Run once with random kills; return the kills, and the fault at the end or "".

    The number of kills is limited, as a busy machine may start workers more slowly than they die.
    """
    kills: Counter[str] = Counter()
    with subprocess.Popen(command(source, out, options), stderr=subprocess.PIPE) as process:
        while process.poll() is None and kills.total() < max_kills:
            time.sleep(dice.uniform(0.05, 1.5))
            found = find_workers(process.pid)
            if not found or process.poll() is not None:
                continue
            worker = dice.choice(found)
            number = signal.SIGSTOP if dice.random() < 0.1 else signal.SIGKILL
            try:
                os.kill(worker.pid, number)
            except ProcessLookupError:
                continue
            kills[worker.kind] += 1
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        return kills, f"exit code {process.returncode}: {said[-500:]}"
    if contents(out) != expected:
        return kills, "the results differ"
    if find_workers(process.pid):
        return kills, "processes are left"
    return kills, ""


def main() -> int:
    """Parse the command line, run and report."""
    parser = argparse.ArgumentParser(description="Kill workers and compare the results.")
    parser.add_argument("source")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments, options = parser.parse_known_args()  # all other options are for icstream run
    dice = random.Random(arguments.seed)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="icstream-chaos-") as name:
        calm, wild = Path(name) / "calm", Path(name) / "wild"
        subprocess.run(command(arguments.source, calm, options), check=True)
        expected = contents(calm)
        while tally.kills.total() < arguments.kills:
            left = arguments.kills - tally.kills.total()
            kills, fault = torment(arguments.source, wild, expected, dice, options, max_kills=left)
            tally.kills += kills
            tally.runs += 1
            if fault:
                tally.faults.append(fault)
                print(f"run {tally.runs} after kills of {dict(kills)}: {fault}", flush=True)
    counts = ", ".join(f"{kind} {tally.kills[kind]}" for kind in KINDS)
    print(f"{tally.runs} runs, {tally.kills.total()} kills ({counts}): {len(tally.faults)} faults")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
