"""The worker processes of a run, as they are found on the machine."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from icstream.pipeline.hub.processes import FoundWorker, Processes, WorkerProcess, find_workers
from icstream.pipeline.hub.stderr_lines import StderrLines
from icstream.pipeline.hub.supervisor import Deadlines, Supervisor

SLEEPER = [sys.executable, "-c", "print(flush=True); input()"]


def test_finds_the_workers_of_a_run_and_no_other_process() -> None:
    words = ["-m", "icstream.pipeline.workers.main", "decode", "drive 1"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen([*SLEEPER, *words], **pipes) as worker,  # type: ignore[call-overload]
        subprocess.Popen(SLEEPER, **pipes) as other,  # type: ignore[call-overload]
    ):
        worker.stdout.readline()
        other.stdout.readline()
        found = FoundWorker(worker.pid, "decode", "drive 1")
        assert find_workers(os.getpid()) == [found]
        assert found in find_workers()
        assert find_workers(worker.pid) == []


def test_lines_are_whole_across_reads_and_cut_at_their_limit() -> None:
    reading, writing = os.pipe()
    lines = StderrLines(reading)
    os.write(writing, b"one\ntw")
    assert lines.read() == ["one"]
    os.write(writing, b"o\n" + b"x" * 5000 + b"\n\nfour")
    assert lines.read() == ["two", "x" * 2000, ""]
    os.close(writing)
    assert lines.read() == []
    os.close(reading)


def test_reading_ends_though_a_worker_writes_without_line_ends_and_without_end() -> None:
    program = "import os\nwhile True: os.write(2, b'x' * 65536)"
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        lines = StderrLines(process.stderr.fileno())
        for _ in range(20):
            assert lines.read() == []
        process.kill()


@contextmanager
def running(program: str, name: str = "decode drive") -> Iterator[WorkerProcess]:
    """Yield a worker that is ready and runs a program, which begins by printing a line."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        yield WorkerProcess("decode", name, name.encode(), process=process, ready=True)
        process.kill()


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    """Return a worker that is ready, and waits for its standard input for ever."""
    with running(SLEEPER[-1]) as process:
        yield process


def test_what_a_killed_worker_had_is_handed_on_only_once_it_is_gone(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = Processes("ipc:///nowhere", arena_fd=None)
    monkeypatch.setattr(processes, "_workers", {worker.name: worker})
    supervisor = Supervisor(processes, Deadlines(start_s=60, heartbeat_s=60, frame_s=1))
    worker.busy_s = 2
    kill = worker.process.kill
    # As a process in the kernel's uninterruptible sleep, which a signal does not end.
    monkeypatch.setattr(worker.process, "kill", lambda: None)
    for _ in range(3):
        assert list(supervisor.watch(paused=False)) == []
        assert list(processes) == [worker]
    kill()
    worker.process.wait()
    (lost,) = supervisor.watch(paused=False)
    assert (lost.worker, lost.why, lost.crashed) == (worker, "spent 2 s on one frame", True)
    assert list(processes) == []


def test_preparing_for_a_size_may_take_as_long_as_a_start(worker: WorkerProcess) -> None:
    processes = Processes("ipc:///nowhere", arena_fd=None)
    supervisor = Supervisor(processes, Deadlines(start_s=60, heartbeat_s=1e9, frame_s=1))
    processes._workers[worker.name] = worker
    worker.warming[64, 96] = None
    worker.busy_s = 59
    assert list(supervisor.watch(paused=False)) == []
    worker.busy_s = 61
    (lost,) = supervisor.watch(paused=False)
    assert lost.why == "spent 61 s preparing for one size"


def test_each_size_that_a_worker_is_through_with_gives_it_more_time_to_start(
    worker: WorkerProcess,
) -> None:
    worker.started_s -= 100
    before_s = worker.started_s
    worker.gain()
    assert worker.started_s > before_s + 99


def watched(*workers: WorkerProcess) -> Supervisor:
    """Return a supervisor of workers that may be silent for 1.5 s."""
    processes = Processes("ipc:///nowhere", arena_fd=None)
    for worker in workers:
        processes._workers[worker.name] = worker
    return Supervisor(processes, Deadlines(start_s=60, heartbeat_s=1.5, frame_s=60))


def seen(before_s: float, *workers: WorkerProcess) -> None:
    """Let workers have been heard some seconds ago."""
    for worker in workers:
        worker.last_seen_s = time.monotonic() - before_s


def wait_until_idle(worker: WorkerProcess) -> None:
    """Wait until a worker does nothing but wait for its standard input."""
    deadline_s = time.monotonic() + 10
    while worker.is_starved():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def test_a_silent_worker_is_lost_while_others_are_heard(worker: WorkerProcess) -> None:
    with running(SLEEPER[-1], "encode drive") as other:
        supervisor = watched(worker, other)
        wait_until_idle(worker)
        seen(1.4, worker)
        assert list(supervisor.watch(paused=False)) == []
        seen(1.6, worker)
        (lost,) = supervisor.watch(paused=False)
        assert (lost.worker, lost.why) == (
            worker,
            "sent no heartbeat for 1.6 s (beat_timeout_s is 1.5)",
        )


def test_the_only_worker_is_lost_when_it_is_silent(worker: WorkerProcess) -> None:
    supervisor = watched(worker)
    wait_until_idle(worker)
    seen(1.6, worker)
    (lost,) = supervisor.watch(paused=False)
    assert lost.worker == worker


def test_a_silence_of_all_workers_is_put_down_to_this_process_for_a_while(
    worker: WorkerProcess,
) -> None:
    with running(SLEEPER[-1], "encode drive") as other:
        supervisor = watched(worker, other)
        seen(9.9, worker, other)
        assert list(supervisor.watch(paused=False)) == []
        # The first messages after the silence arrive; the other worker's are still on their way.
        seen(0, other)
        assert list(supervisor.watch(paused=False)) == []
        seen(10.1, worker, other)
        assert {lost.worker for lost in supervisor.watch(paused=False)} == {worker, other}


def test_a_worker_with_a_thread_that_lacks_cpu_time_may_be_silent_for_longer() -> None:
    # Its main thread waits, as between frames; another one wants to run.
    program = (
        "import threading\n"
        "threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()\n"
        "print(flush=True)\ninput()"
    )
    with running(program) as busy:
        supervisor = watched(busy)
        seen(9.9, busy)
        assert list(supervisor.watch(paused=False)) == []
        seen(10.1, busy)
        assert [lost.worker for lost in supervisor.watch(paused=False)] == [busy]
