"""Soak test of live sources: shares, memory, leaks, and the time to reconnect.

python benchmarks/soak.py cameras --minutes 10
python benchmarks/soak.py reconnect --cycles 100
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from icstream.pipeline.hub.processes import find_workers
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.run.result import RunResult
from icstream.pipeline.run.run import run_pipeline
from icstream.pipeline.settings.run import load_config

RTSP_SERVER = Path(__file__).parents[1] / "tests" / "support" / "rtsp_server.py"
WARM_UP = 0.25
"""The share of the time after which memory is expected to be constant."""
BACKOFF_CAP_S = 2.0
WAIT_S = 120.0


@dataclass(frozen=True)
class Footprint:
    """The resources of a run's processes."""

    processes: int
    threads: int
    descriptors: int
    megabytes: float
    """Private and shared memory, counting each page once, without mapped files such as
    libraries."""
    shared_memory: tuple[str, ...]
    """Files of icstream in /dev/shm, of which there should be none, as arenas have no names."""


def footprint() -> Footprint:
    """Return the resources of this process and its children."""
    processes = threads = descriptors = kilobytes = 0
    workers = find_workers(os.getpid())
    for path in [Path("/proc/self"), *(Path(f"/proc/{worker.pid}") for worker in workers)]:
        try:
            rollup = (path / "smaps_rollup").read_text().splitlines()
            sizes = {line.split(":")[0]: line.split()[1] for line in rollup[1:]}
            kilobytes += int(sizes["Pss_Anon"]) + int(sizes["Pss_Shmem"])
            threads += len(os.listdir(path / "task"))
            descriptors += len(os.listdir(path / "fd"))
            processes += 1
        except (OSError, KeyError):
            continue
    names = tuple(sorted(path.name for path in Path("/dev/shm").glob("icstream*")))
    return Footprint(processes, threads, descriptors, kilobytes / 1024, names)


@dataclass(frozen=True)
class Found:
    """The result of a soak."""

    faults: list[str]
    counts: dict[str, int]
    values: dict[str, list[float]]
    """The measured values by name, in the order of time."""


@dataclass
class Soak:
    """A run in a thread, with its accounts checked continuously."""

    sources: list[str]
    options: dict[str, Any]
    streams: Sequence[StreamState] = ()
    faults: list[str] = field(default_factory=list)
    num_looks: int = 0
    result: RunResult | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def update(self, streams: Sequence[StreamState]) -> None:
        """Implement `RunDisplay.update`."""
        self.streams = streams
        self.num_looks += 1
        for stream in streams:
            self.faults += stream.accounting.faults()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run within the context."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        config = load_config(
            None, (), {"model.weights": "streets", "output.sinks": ["areas"], **self.options}
        )
        with tempfile.TemporaryDirectory(prefix="icstream-soak-") as name:
            self.result = run_pipeline(
                config,
                self.sources,
                Path(name) / "out",
                progress=self,
                should_stop=self._stop.is_set,
            )

    def wait_for(self, what: Callable[[Sequence[StreamState]], bool]) -> float:
        """Wait until a condition is true, and return the duration in seconds.

        Raises:
            TimeoutError: The condition never became true.
        """
        begin = time.monotonic()
        while not (self.streams and what(self.streams)):
            if time.monotonic() - begin > WAIT_S:
                raise TimeoutError(str([stream.source_status for stream in self.streams]))
            time.sleep(0.02)
        return time.monotonic() - begin


def cameras(minutes: float, num_cameras: int, *, rate: float = 10) -> Found:
    """Run synthetic cameras in parallel, with one value of memory, in MB, per second."""
    sources = [f"synthetic:size=320x240,rate={rate:g},seed={n}" for n in range(num_cameras)]
    soak = Soak(sources, {})
    samples: list[tuple[float, Footprint]] = []
    with soak.running():
        soak.wait_for(lambda streams: all(stream.accounting.encoded > 5 for stream in streams))
        before = [stream.accounting.encoded for stream in soak.streams]
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < 60 * minutes:
            samples.append((now, footprint()))
            time.sleep(1)
        encoded = [stream.accounting.encoded for stream in soak.streams]
    done = np.array(encoded) - np.array(before)
    shares = done / done.mean()
    steady = [(when, print_) for when, print_ in samples if when > WARM_UP * 60 * minutes]
    times = np.array([when for when, _ in steady])
    memory = np.array([found.megabytes for _, found in steady])
    slope = 60 * float(np.polyfit(times, memory, 1)[0])
    first, last = steady[0][1], steady[-1][1]
    assert soak.result is not None
    dropped = {s.name: dict(s.accounting.dropped) for s in soak.result.streams}
    print(
        f"{num_cameras} cameras, {minutes:g} minutes: {done.sum()} masks,"
        f" shares {shares.min():.3f} to {shares.max():.3f} of the mean, dropped {dropped}\n"
        f"memory {memory[0]:.0f} MB, {memory[-1]:.0f} MB at last; slope {slope:+.2f} MB a minute\n"
        f"threads {first.threads} and {last.threads},"
        f" descriptors {first.descriptors} and {last.descriptors},"
        f" processes {first.processes} and {last.processes}\n"
        f"accounts checked {soak.num_looks} times"
    )
    found = _faults(soak)
    if abs(shares - 1).max() > 0.1:
        found.append("shares differ by more than 10 %")
    if slope > 1:
        found.append("memory grows by more than 1 MB a minute")
    return Found(
        faults=found + _left_behind([look for _, look in steady]),
        counts={"masks": int(done.sum()), "looks at the accounts": soak.num_looks},
        values={
            "MB of memory": [print_.megabytes for _, print_ in samples],
            "descriptors": [float(print_.descriptors) for _, print_ in samples],
        },
    )


def reconnect(cycles: int) -> Found:
    """Start and kill an RTSP camera repeatedly, with one value per cycle."""
    with tempfile.TemporaryDirectory() as name:
        port = 20_000 + os.getpid() % 20_000
        options = {
            "live.read_timeout_s": 2,
            "live.backoff": {"first_s": 0.5, "cap_s": BACKOFF_CAP_S},
        }
        soak = Soak([f"rtsp://127.0.0.1:{port}/cam"], options)
        waits: list[float] = []
        prints: list[Footprint] = []
        with soak.running():
            for cycle in range(cycles):
                soak.wait_for(lambda streams: streams[0].source_status.state == "backing off")
                prints.append(footprint())
                with _rtsp_camera(port, Path(name) / "server.log"):
                    count = cycle + 1
                    waits.append(
                        soak.wait_for(lambda streams: streams[0].source_status.connections == count)  # noqa: B023
                    )
                    encoded = soak.streams[0].accounting.encoded
                    soak.wait_for(lambda streams: streams[0].accounting.encoded > encoded + 3)  # noqa: B023
            soak.wait_for(lambda streams: streams[0].source_status.state == "backing off")
            prints.append(footprint())
    settled = prints[len(prints) // 4 :]
    memory = np.array([found.megabytes for found in settled])
    print(
        f"{cycles} cycles: back after {np.median(waits):.2f} s, {max(waits):.2f} s at most"
        f" (cap {BACKOFF_CAP_S:g} s)\n"
        f"memory {memory[0]:.0f} MB, {memory[-1]:.0f} MB at last;"
        f" threads {settled[0].threads} and {settled[-1].threads},"
        f" descriptors {settled[0].descriptors} and {settled[-1].descriptors},"
        f" processes {settled[0].processes} and {settled[-1].processes}\n"
        f"accounts checked {soak.num_looks} times"
    )
    found = _faults(soak)
    if max(waits) > BACKOFF_CAP_S + 2:
        found.append("not back in time")
    return Found(
        faults=found + _left_behind(settled),
        counts={"looks at the accounts": soak.num_looks},
        values={
            "seconds until back": waits,
            "MB of memory": [print_.megabytes for print_ in prints],
        },
    )


@contextmanager
def _rtsp_camera(port: int, log: Path) -> Iterator[None]:
    command = ["/usr/bin/python3", str(RTSP_SERVER), str(port)]
    with (
        log.open("a") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
    ):
        assert server.stdout is not None
        if server.stdout.readline() != "ready\n":
            raise RuntimeError(log.read_text())
        try:
            yield
        finally:
            server.kill()


def _faults(soak: Soak) -> list[str]:
    assert soak.result is not None
    found = sorted(set(soak.faults))
    for stream in soak.result.streams:
        found += stream.faults()
        unknown = set(stream.accounting.dropped) - {"stale", "stopped"}
        found += [f"dropped without a known reason: {reason}" for reason in unknown]
    if soak.result.num_restarts:
        found.append(f"{soak.result.num_restarts} workers were lost")
    return found


def _left_behind(looks: Sequence[Footprint]) -> list[str]:
    """Return the resources whose minimum is larger in the last quarter than in the first.

    A single sample may be taken while a worker is opening a connection.
    """
    quarter = max(1, len(looks) // 4)
    found = []
    for name in ("processes", "threads", "descriptors"):
        before, after = (
            min(getattr(look, name) for look in part)
            for part in (looks[:quarter], looks[-quarter:])
        )
        if after > before:
            found.append(f"{name}: at least {before} at first, at least {after} at last")
    if left := set(looks[-1].shared_memory) - set(looks[0].shared_memory):
        found.append(f"new shared memory: {', '.join(sorted(left))}")
    return found


def main() -> int:
    """Parse the command line, soak and report."""
    parser = argparse.ArgumentParser(description="Run live sources for a long time.")
    commands = parser.add_subparsers(dest="command", required=True)
    many = commands.add_parser("cameras")
    many.add_argument("--minutes", type=float, default=10)
    many.add_argument("--cameras", type=int, default=8)
    often = commands.add_parser("reconnect")
    often.add_argument("--cycles", type=int, default=100)
    arguments = parser.parse_args()
    if arguments.command == "cameras":
        found = cameras(arguments.minutes, arguments.cameras)
    else:
        found = reconnect(arguments.cycles)
    for fault in found.faults:
        print(f"FAULT: {fault}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
