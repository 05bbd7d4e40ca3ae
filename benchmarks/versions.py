"""Compare the CPU time of two installations of icstream for the same run, in turns.

    python benchmarks/versions.py OLD/.venv/bin/icstream NEW/.venv/bin/icstream VIDEO --rounds 10

Each round runs the old one, the new one, and the old one again, so that the old one's spread
against itself stands beside the difference. CPU time is user and system time of the hub and all its
workers. Start-up is taken off by the difference to a run that reads the video once. Figures
are CPU milliseconds per frame; what counts is the median of the rounds' ratios.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import av


def main() -> int:
    """Run the rounds, print each one, and print or write the ratios."""
    parser = argparse.ArgumentParser(description="Compare the CPU time of two installations.")
    parser.add_argument("old", type=Path, help="command of the old installation")
    parser.add_argument("new", type=Path, help="command of the new installation")
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--loop", type=int, default=3, help="times that a run reads the video")
    parser.add_argument("--sink", default="masks")
    parser.add_argument("--weights", default="camvid")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args()
    num_frames = _count_frames(options.video)
    for command in (options.old, options.new):
        _cpu_s(command, options, 1)  # fills its caches of compiled loops and networks
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds):
        found = {}
        for name, command in (("old", options.old), ("new", options.new), ("again", options.old)):
            once, often = (_cpu_s(command, options, loop) for loop in (1, 1 + options.loop))
            found[name] = 1000 * (often - once) / (num_frames * options.loop)
            found[f"{name}_start"] = once - num_frames * found[name] / 1000
        rounds.append(found)
        print(
            f"{number + 1}: old {found['old']:.2f}, new {found['new']:.2f}, "
            f"old again {found['again']:.2f} ms per frame; start-up "
            f"{found['old_start']:.2f}, {found['new_start']:.2f}, {found['again_start']:.2f} s",
            flush=True,
        )
    summary = {
        f"{key}{part}": _spread([r[f"{key}{part}"] / r[f"old{part}"] - 1 for r in rounds])
        for part in ("", "_start")
        for key in ("new", "again")
    }
    for key, (low, middle, high) in summary.items():
        print(f"{key:>12} / old: {middle:+.1%} in the median, {low:+.1%} to {high:+.1%}")
    if options.json:
        options.json.write_text(json.dumps({"rounds": rounds, "ratios": summary}, indent=1))
    return 0


def _cpu_s(command: Path, options: argparse.Namespace, loop: int) -> float:
    """Run the video `loop` times over; return the CPU time of all processes in seconds."""
    with tempfile.TemporaryDirectory(prefix="icstream-versions-") as folder:
        words = [command, "run", options.video, "-o", Path(folder, "out"), "--quiet"]
        words += ["--sink", options.sink, "--weights", options.weights, "--loop", str(loop)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with code {process.returncode}")
    return used.ru_utime + used.ru_stime


def _count_frames(video: Path) -> int:
    with av.open(video) as file:
        return sum(1 for _ in file.decode(video=0))


def _spread(values: list[float]) -> tuple[float, float, float]:
    """Return the smallest value, the median, and the largest."""
    return min(values), median(values), max(values)


if __name__ == "__main__":
    sys.exit(main())
