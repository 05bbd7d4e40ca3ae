"""Check by hand whether the pipeline has become slower, in ratios of one run.

    python benchmarks/gate.py VIDEO_960x540 [VIDEO_2048x1024]

The floors are about a tenth below the measurements on two cores with AMX (docs/performance.md), to
allow for noise; they do not apply to other CPUs. The exit code is 1 if one is missed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

FLOORS = {
    "960x540": {"pipeline_vs_naive": 11.0, "pipeline_vs_bare": 0.71, "engine_vs_eager": 12.5},
    "2048x1024": {"pipeline_vs_naive": 14.0, "pipeline_vs_bare": 0.74, "engine_vs_eager": 15.0},
}


def main() -> int:
    """Parse the command line, measure and compare; return the exit code."""
    parser = argparse.ArgumentParser(description="Check whether the pipeline has become slower.")
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    code = 0
    for video, (size, floors) in zip(options.videos, FLOORS.items(), strict=False):
        command = [sys.executable, "-m", "icstream.pipeline", "bench", str(video), "--json", "-"]
        rounds = ["--rounds", str(options.rounds)]
        done = subprocess.run([*command, *rounds], stdout=subprocess.PIPE, check=True)
        ratios: dict[str, float] = json.loads(done.stdout)["ratios"]
        for name, floor in floors.items():
            missed = ratios[name] < floor
            code |= missed
            print(f"{size} {name}: {ratios[name]:.2f}, floor {floor}{', MISSED' * missed}")
    return code


if __name__ == "__main__":
    sys.exit(main())
