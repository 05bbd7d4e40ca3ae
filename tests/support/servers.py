"""Processes of `icstream serve`, and requests to them."""

import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import Any, Self

import urllib3

from support.commands import COMMAND

START_S = 120.0
_ADDRESS = re.compile(r"listening on http://([^\s:]+):(\d+)")


class Server:
    """A service on a free port of this machine, used as a context manager.

    Attributes:
        log: The text written to standard error.
        exit_code: The exit code, once it has ended.
    """

    def __init__(self, *options: str, environment: Mapping[str, str] | None = None) -> None:
        """Start `icstream serve` with options, and wait until it listens."""
        command = [*COMMAND, "serve", "--port", "0", *options]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment and dict(environment)
        )
        self.log: list[str] = []
        self.host, self.port = "", 0
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listens.wait(START_S), "\n".join(self.log)
        self._pool = urllib3.PoolManager(maxsize=64, retries=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._pool.clear()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            found = _ADDRESS.search(line)
            if found:
                self.host, self.port = found[1], int(found[2])
                self._listens.set()
        self._listens.set()  # it has ended

    @property
    def address(self) -> str:
        """Return the host and port."""
        return f"{self.host}:{self.port}"

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
        retries: urllib3.Retry | bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request: GET, or POST with a body or form fields."""
        posted = body is not None or fields is not None
        return self._pool.request(
            method or ("POST" if posted else "GET"),
            f"http://{self.address}{path}",
            body=body,
            fields=fields,
            headers=headers,
            retries=retries,
            timeout=120,
        )

    def wait_ready(self) -> Self:
        """Wait until every model is ready."""
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            assert self.process.poll() is None, "\n".join(self.log)
            assert time.monotonic() < deadline, "\n".join(self.log)
            time.sleep(0.05)
        return self

    def _is_ready(self) -> bool:
        try:
            return self.ask("/v2/health/ready").status == 200
        except urllib3.exceptions.HTTPError:  # it has just ended
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        return code


def serve_streets(*options: str, environment: Mapping[str, str] | None = None) -> Server:
    """Return a service for small images with the smallest weights."""
    small = ("--weights", "streets", "--set", "model.warm_up_sizes=[60x40]")
    return Server(*small, *options, environment=environment)
