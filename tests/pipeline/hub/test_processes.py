"""The worker processes of a run, as they are found on the machine."""

import os
import subprocess
import sys

from icstream.pipeline.hub.processes import FoundWorker, find_workers

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
