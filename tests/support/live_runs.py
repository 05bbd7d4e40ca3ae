"""Runs of icstream in the background, which tests observe."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from icstream.pipeline.hub.processes import find_workers
from support.background import Background


class LiveRun(Background):
    """`icstream run` in a separate process, used as a context manager."""

    def __init__(self, sources: Sequence[Path | str], out: Path, *options: str) -> None:
        """Start the run with the weights "streets"."""
        super().__init__("run", "--weights", "streets", *sources, "-o", out, *options)

    def wait_for(self, condition: Any, *, timeout_s: float = 200) -> None:
        """Wait until a condition is true."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def status(self) -> dict[str, Any]:
        """Return the status of the run once every stream has finished a frame."""
        found: dict[str, Any] = {}

        def running() -> bool:
            code, body = get(f"{self.address()}/status")
            if code == 200:
                found.update(json.loads(body))
            streams = found.get("streams", ())
            return bool(streams) and all(stream["encoded"] for stream in streams)

        self.wait_for(running)
        return found

    def wait(self) -> int:
        """Wait until the run ends, and return its exit code."""
        code = self.process.wait(timeout=150)
        self._reader.join()
        return code


def get(url: str, *, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Return the status code and the body of an answer, or code 0 without one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        request = urllib.request.Request(url, data=data, headers=named)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def read_frames(body: bytes) -> list[tuple[dict[str, Any], bytes, bytes]]:
    """Return the frames in an answer of /frames: the metadata, JPEG and PNG of each."""
    length = int.from_bytes(body[:4], "big")
    start, found = 4 + length, []
    for entry in json.loads(body[4:start])["frames"]:
        middle = start + entry["picture_bytes"]
        stop = middle + entry["ids_bytes"]
        found.append((entry, body[start:middle], body[middle:stop]))
        start = stop
    assert start == len(body)
    return found


def children(parent: int) -> dict[str, int]:
    """Return the workers of a run by kind."""
    return {worker.kind: worker.pid for worker in find_workers(parent)}


def is_running(pid: int) -> bool:
    """Return whether a process runs, which a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
