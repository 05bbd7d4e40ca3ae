"""Read a recording many times, and measure the growth of memory, descriptors and files.

python benchmarks/endurance.py drive.mp4 --loop 20
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from icstream.pipeline.hub.processes import find_workers


@dataclass(frozen=True)
class Sample:
    """The resources of a run at one moment."""

    frames: int
    megabytes: float
    """The proportional set size of all its processes, which counts shared pages once."""
    descriptors: int
    processes: int


def sample(parent: int, masks: Path, bytes_per_frame: float) -> Sample | None:
    """Return the resources of a run, or None once it has ended."""
    kilobytes = descriptors = count = 0
    try:
        for pid in [parent, *(worker.pid for worker in find_workers(parent))]:
            path = Path(f"/proc/{pid}")
            rollup = (path / "smaps_rollup").read_text().splitlines()
            kilobytes += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
            descriptors += len(os.listdir(path / "fd"))
            count += 1
    except (OSError, StopIteration):
        return None
    done = sum(path.stat().st_size for path in masks.glob("masks*.mp4"))
    return Sample(round(done / bytes_per_frame), kilobytes / 1024, descriptors, count)


def main() -> None:
    """Parse the command line, run and report."""
    parser = argparse.ArgumentParser(description="Read a recording many times.")
    parser.add_argument("source", type=Path)
    parser.add_argument("--loop", type=int, default=20)
    arguments, options = parser.parse_known_args()  # all other options are for icstream run
    before = set(os.listdir("/dev/shm"))
    with tempfile.TemporaryDirectory(prefix="icstream-endurance-") as name:
        out = Path(name)
        command = [sys.executable, "-m", "icstream.pipeline", "run", str(arguments.source)]
        common = ["--weights", "streets", "--sink", "masks", "--quiet", *options]
        subprocess.run([*command, "-o", str(out / "once"), *common], check=True)
        (stream,) = json.loads((out / "once" / "report.json").read_text())["streams"].items()
        size = (out / "once" / stream[0] / "masks.mp4").stat().st_size
        per_frame = size / stream[1]["encoded"]
        looped = [*command, "-o", str(out / "out"), *common, "--loop", str(arguments.loop)]
        samples: list[Sample] = []
        with subprocess.Popen(looped) as process:
            while process.poll() is None:
                time.sleep(0.5)
                found = sample(process.pid, out / "out" / stream[0], per_frame)
                if found is not None and found.frames > stream[1]["encoded"]:
                    samples.append(found)
        stream_report = json.loads((out / "out" / "report.json").read_text())["streams"][stream[0]]
    # Samples are ignored at the end, while processes end one by one.
    most = max(s.processes for s in samples)
    samples = [s for s in samples if s.processes == most]
    frames = np.array([s.frames for s in samples])
    memory = np.array([s.megabytes for s in samples])
    slope = 1000 * float(np.polyfit(frames, memory, 1)[0])
    print(
        f"exit code {process.returncode}, {stream_report['encoded']} frames, accounts balance:"
        f" {stream_report['closed']}\n"
        f"memory after the first loop: {memory[0]:.0f} MB at first, {memory[-1]:.0f} MB at last,"
        f" {memory.max():.0f} MB at most; slope {slope:+.2f} MB per 1000 frames\n"
        f"descriptors: {samples[0].descriptors} at first, {samples[-1].descriptors} at last\n"
        f"left in /dev/shm: {sorted(set(os.listdir('/dev/shm')) - before)}"
    )


if __name__ == "__main__":
    main()
