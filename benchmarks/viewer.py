"""Measure the cost of a slow viewer, as CPU time per frame of the pipeline with and without it.

python benchmarks/viewer.py drive.mp4

Both runs of a pair have the live view. In one, a viewer requests frames endlessly and reads one
byte per second. The view's own process is counted separately, as it is niced and not part of the
pipeline.
"""

import argparse
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = 100


@dataclass(frozen=True)
class Cost:
    """The CPU time per frame, in milliseconds."""

    pipeline: float
    view: float


def cpu_ticks(hub: int) -> dict[int, tuple[bool, int]]:
    """Return whether it is the view, and its CPU time, for each process of a run by its id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()
            words = (path / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
        if int(path.name) == hub or int(fields[1]) == hub:
            found[int(path.name)] = ("view" in words, int(fields[11]) + int(fields[12]))
    return found


def watch_slowly(port: int, stop: threading.Event) -> None:
    """Request frames repeatedly, and read one byte per second."""
    with socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        viewer.connect(("127.0.0.1", port))
        viewer.sendall(1000 * b"GET /frames?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not stop.wait(1):
            viewer.recv(1)


def encoded(out: Path) -> int:
    """Return the number of frames that a run has finished, by the lines of its table."""
    return sum(path.read_bytes().count(b"\n") - 1 for path in out.glob("*/areas.csv"))


def measure(source: str, *, watched: bool, num_frames: int) -> Cost:
    """Run until a number of frames is finished, and return the cost of each, without start-up."""
    with tempfile.TemporaryDirectory(prefix="icstream-viewer-") as name:
        out = Path(name) / "out"
        command = [sys.executable, "-m", "icstream.pipeline", "run", source, "-o", str(out)]
        options = ["--weights", "streets", "--loop", "1000", "--sink", "areas"]
        process = subprocess.Popen(
            [*command, *options, "--view-address", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        found = re.search(r":(\d+)/$", process.stderr.readline())
        assert found is not None
        stop = threading.Event()
        viewer = threading.Thread(target=watch_slowly, args=(int(found[1]), stop))
        while encoded(out) < 50:
            time.sleep(0.05)
        if watched:
            viewer.start()
        time.sleep(2)
        first, before = encoded(out), cpu_ticks(process.pid)
        while encoded(out) < first + num_frames:
            time.sleep(0.05)
        last, after = encoded(out), cpu_ticks(process.pid)
        stop.set()
        if watched:
            viewer.join()
        process.terminate()
        process.communicate()
    spent = {True: 0, False: 0}
    for pid, (is_view, ticks) in after.items():
        spent[is_view] += ticks - before.get(pid, (is_view, 0))[1]
    per_frame = 1e3 / TICKS_PER_S / (last - first)
    return Cost(per_frame * spent[False], per_frame * spent[True])


def main() -> None:
    """Parse the command line, measure turn by turn, and report."""
    parser = argparse.ArgumentParser(description="Measure the cost of a slow viewer.")
    parser.add_argument("source")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300)
    arguments = parser.parse_args()
    ratios = []
    for _ in range(arguments.pairs):
        alone = measure(arguments.source, watched=False, num_frames=arguments.frames)
        watched = measure(arguments.source, watched=True, num_frames=arguments.frames)
        ratios.append(watched.pipeline / alone.pipeline)
        print(
            f"pipeline {alone.pipeline:.2f} ms/frame alone, {watched.pipeline:.2f} watched,"
            f" ratio {ratios[-1]:.3f}; the view itself {alone.view:.2f} and {watched.view:.2f}",
            flush=True,
        )
    print(json.dumps({"watched_vs_alone": round(statistics.median(ratios), 3), "ratios": ratios}))


if __name__ == "__main__":
    main()
