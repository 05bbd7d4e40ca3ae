"""The worker processes of a run."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from icstream.model.shown import printable
from icstream.pipeline.hub.stderr_lines import StderrLines
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.worker_names import new_worker_name

log = logging.getLogger(__name__)

_WORKER_MODULE = "icstream.pipeline.workers.main"

_NUM_LAST_LINES = 30
_KILL_WAIT_S = 0.1
_END_WAIT_S = 2.0
"""Longest time, in seconds, for killed workers to be gone at the end of a run."""


@dataclass(frozen=True, slots=True)
class FoundWorker:
    """A worker process found on this machine."""

    pid: int
    kind: str
    which: str
    """Name among the workers of its kind."""


def find_workers(parent_pid: int | None = None) -> list[FoundWorker]:
    """Return the workers of one run, or of all runs on this machine; empty without `/proc`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if parent_pid is not None and int(_stat(path)[1]) != parent_pid:
                continue
            words = (path / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue  # the process has ended meanwhile
        if _WORKER_MODULE in words[:-2]:
            kind, which = words[words.index(_WORKER_MODULE) + 1 :][:2]
            found.append(FoundWorker(int(path.name), kind, which))
    return found


def _stat(path: Path) -> list[str]:
    """Return the fields of a process's `/proc/PID/stat`, from its state on."""
    return (path / "stat").read_text(errors="replace").rpartition(")")[2].split()


@dataclass(slots=True, eq=False, kw_only=True)
class WorkerProcess(Worker):
    """A worker that is a process on this machine."""

    process: "subprocess.Popen[bytes]"
    started_s: float = field(default_factory=time.monotonic)
    """Monotonic time of its start, in seconds."""
    last_seen_s: float = field(default_factory=time.monotonic)
    """Monotonic time of its last message, in seconds."""
    end_seen: bool = False
    """Whether the end of the process was noticed."""
    busy_s: float = 0.0
    """Time that it has spent on its present frame, in seconds."""
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_NUM_LAST_LINES))
    """Last lines that it wrote to standard error."""
    killed_for: str | None = None
    """Reason why the hub killed it, or None."""
    killed_s: float | None = None
    """Monotonic time at which it was killed, in seconds, or None."""
    _lines: StderrLines = field(init=False)

    def __post_init__(self) -> None:
        assert self.process.stderr is not None
        self._lines = StderrLines(self.process.stderr.fileno())

    def gain(self) -> None:
        """Record progress by the worker, and restart the deadline of its start."""
        self.has_gained = True
        self.started_s = time.monotonic()

    def is_running(self) -> bool:
        """Return whether the process has not ended."""
        return self.process.poll() is None

    def read_stderr(self) -> None:
        """Read the process's standard error, log its records, and keep other lines."""
        for line in self._lines.read():
            self._take_line(line)

    def _take_line(self, line: str) -> None:
        if line.startswith('{"log":'):
            with suppress(ValueError, KeyError):
                record = json.loads(line)["log"]
                logging.getLogger(record["name"]).log(record["level"], "%s", record["text"])
                return
        if line.strip():
            log.debug("%s: %s", self.label, line)
            self.last_lines.append(printable(line))

    def ended(self) -> str | None:
        """Return how the process ended, or None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        self.read_stderr()
        if code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
            return f"killed by signal {-code}"
        last = next((line for line in reversed(self.last_lines) if line.strip()), "")
        return f"exit code {code}" + (f" ({last.strip()})" if last else "")

    @property
    def crashed(self) -> bool:
        """Whether the process ended by itself rather than by SIGKILL or SIGTERM."""
        return self.process.returncode not in (None, 0, -signal.SIGKILL, -signal.SIGTERM)

    def is_stopped(self, now_s: float, *, silent_s: float) -> bool:
        """Return whether the process is stopped and has been silent for longer than `silent_s`."""
        if now_s - self.last_seen_s <= silent_s:
            return False
        return not _thread_states(self.process.pid).isdisjoint("Tt")

    def is_starved(self) -> bool:
        """Return whether one of its threads wants to run, or waits for a disk.

        Such a process may be silent because a busy machine gives it no CPU time.
        """
        return not _thread_states(self.process.pid).isdisjoint("RD")

    def reset_deadlines(self, now_s: float) -> None:
        """Restart all deadlines."""
        self.last_seen_s = now_s
        if not self.ready:
            self.started_s = now_s

    def kill(self, *, wait_s: float = _KILL_WAIT_S) -> bool:
        """Kill the process, and return whether it is gone.

        A process that waits for a device, such as a hung disk, is gone later. Until then, the
        system may still write to its memory.
        """
        self.process.kill()
        self.killed_s = self.killed_s or time.monotonic()
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return False
        self.read_stderr()
        self.close()
        return True

    @property
    def dying_s(self) -> float:
        """The time since it was killed, in seconds, or 0."""
        return 0.0 if self.killed_s is None else time.monotonic() - self.killed_s

    def close(self) -> None:
        """Close the pipes of a process that has ended."""
        if self.process.stderr is not None:
            self.process.stderr.close()


def _thread_states(pid: int) -> set[str]:
    """Return the Linux states of a process's threads (R, S, D, T, t, Z), as far as known."""
    states = set()
    for path in Path(f"/proc/{pid}/task").glob("[0-9]*"):
        with suppress(OSError):  # the thread has ended meanwhile
            states.add(_stat(path)[0])
    return states


class Processes:
    """The processes of a run's workers."""

    def __init__(self, endpoint: str, *, arena_fd: int | None) -> None:
        """Store what every worker needs to connect.

        Args:
            endpoint: The address of the hub.
            arena_fd: The descriptor of the shared memory, which workers inherit, or None.
        """
        self._endpoint = endpoint
        self._arena_fd = arena_fd
        self._workers: dict[bytes, WorkerProcess] = {}

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(list(self._workers.values()))

    def get(self, name: bytes) -> WorkerProcess | None:
        """Return the worker with a name, or None."""
        return self._workers.get(name)

    def start(
        self, kind: str, which: str, task: bytes, *, threads: int, fds: Sequence[int] = ()
    ) -> WorkerProcess:
        """Start a worker.

        Args:
            kind: One of `icstream.pipeline.workers.kinds`.
            which: The name among the workers of its kind.
            task: The task, as JSON.
            threads: The number of threads of libraries with thread pools.
            fds: Descriptors that it inherits in addition to the shared memory.

        Raises:
            OSError: The system cannot start another process.
        """
        name = new_worker_name()
        start_up = {
            "endpoint": self._endpoint,
            "name": name.hex(),
            "parent": os.getpid(),
            "arena_fd": self._arena_fd,
            "task": task.decode(),
        }
        # A file, not a pipe: a process that does not read must not block this one.
        with tempfile.TemporaryFile() as task_file:
            task_file.write(json.dumps(start_up).encode())
            task_file.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _WORKER_MODULE, kind, which],
                stdin=task_file,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(*fds, *(() if self._arena_fd is None else (self._arena_fd,))),
                env={**os.environ, **_environment(kind, threads)},
                # Ctrl-C in a terminal is for the hub, which ends its workers in order.
                process_group=0,
            )
        worker = WorkerProcess(kind, f"{kind} {which}", name, process=process)
        self._workers[name] = worker
        return worker

    def forget(self, worker: WorkerProcess) -> None:
        """Remove a worker whose process has ended."""
        worker.close()
        self._workers.pop(worker.name, None)

    def end_all(self, *, wait_s: float) -> None:
        """Wait for workers that were asked to end, and kill those that take too long."""
        deadline_s = time.monotonic() + wait_s
        while any(worker.is_running() for worker in self) and time.monotonic() < deadline_s:
            for worker in self:
                worker.read_stderr()
            time.sleep(0.01)
        for worker in self:
            worker.process.kill()
        deadline_s = time.monotonic() + _END_WAIT_S
        for worker in self:
            worker.kill(wait_s=max(0.0, deadline_s - time.monotonic()))
            self.forget(worker)


def _environment(kind: str, threads: int) -> dict[str, str]:
    """Return environment variables that configure threads and memory of libraries."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")
    tunables = [os.environ.get("GLIBC_TUNABLES"), "glibc.malloc.hugetlb=1"]
    # glibc: huge pages help the network's feature maps, but not decoding.
    huge = {"GLIBC_TUNABLES": ":".join(filter(None, tunables))} if kind == "segment" else {}
    return {
        **huge,
        **{f"{name}_NUM_THREADS": str(threads) for name in names},
        # Threads that busy-wait would take cores from other stages.
        "OMP_WAIT_POLICY": "PASSIVE",
        # glibc: keep freed frame memory for the next frames, instead of returning its pages.
        "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
        "MALLOC_TOP_PAD_": str(8 * 2**20),
        "PYTHONUNBUFFERED": "1",
    }
