"""A command of icstream in the background, whose log is read continuously."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from icstream.pipeline.hub.processes import FoundWorker, find_workers
from support.commands import COMMAND

_END_S = 60.0


class Background:
    """A command, used as a context manager.

    Attributes:
        process: The first process of the command.
        lines: The lines written to standard error.
    """

    def __init__(self, *words: object) -> None:
        """Start the command, given as the arguments of `icstream`."""
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, words)], stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            self.lines += iter(stderr.readline, "")

    @property
    def log(self) -> str:
        """The text written to standard error."""
        return "".join(self.lines)

    def address(self, what: str = "live view") -> str:
        """Return the HTTP address that it logs after some words, without a trailing slash."""
        pattern = rf"{what}:? (http://[^\s/]+)"

        def logged_or_ended() -> bool:
            return re.search(pattern, self.log) is not None or self.process.poll() is not None

        wait_for(logged_or_ended, what)
        found = re.search(pattern, self.log)
        assert found is not None, self.log
        return found[1]

    def workers(self, kind: str) -> list[FoundWorker]:
        """Return the worker processes of a kind."""
        return [worker for worker in find_workers(self.process.pid) if worker.kind == kind]

    def stop(self) -> int:
        """Stop the command regularly, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        self._reader.join(_END_S)
        return code


def wait_for(condition: Callable[[], bool], what: str, *, timeout_s: float = 120) -> float:
    """Wait until a condition is true, and return the duration in seconds.

    Raises:
        TimeoutError: The condition never became true.
    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > timeout_s:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)
    return time.monotonic() - begin


def read_report(out: Path) -> dict[str, Any]:
    """Return a run's report, which is empty if there is none."""
    path = out / "report.json"
    return dict(json.loads(path.read_bytes())) if path.exists() else {}
