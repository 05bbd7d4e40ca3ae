"""Where the processes of a run meet."""

import fcntl
import logging
import os
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from icstream.pipeline.hub.processes import Processes
from icstream.pipeline.wire.shared_memory import Arena
from icstream.pipeline.wire.sockets import HubSocket

log = logging.getLogger(__name__)

_MAX_SOCKET_PATH = 90
"""Paths of ipc sockets end at 107 bytes."""
_LOCK = "lock"
"""Held in a run's folder while the run lasts."""


class RuntimeDir:
    """Socket, shared memory, and a folder for sockets; to be used as a context manager."""

    def __init__(self, transport: str) -> None:
        self.transport = _possible(transport)
        self.folder = ""
        """For sockets; only this user can enter it."""
        self.arena: Arena | None = None

        self._lock: int | None = None

    def __enter__(self) -> "RuntimeDir":
        _sweep()
        parent = tempfile.gettempdir()
        if len(parent) > _MAX_SOCKET_PATH - 40:
            parent = "/tmp"
        self.folder = tempfile.mkdtemp(prefix=f"icstream-{os.getpid()}-", dir=parent)
        self._lock = _lock(Path(self.folder))
        endpoint = "tcp://127.0.0.1:*" if self.transport == "tcp" else f"ipc://{self.folder}/hub"
        if self.transport == "shm":
            self.arena = Arena()
        self.socket = HubSocket(endpoint)
        arena_fd = None if self.arena is None else self.arena.fd
        self.processes = Processes(self.socket.endpoint, arena_fd=arena_fd)
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        if self.arena is not None:
            self.arena.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


def _possible(transport: str) -> str:
    """Gives the transport, or the next best one that this system has, with one line."""
    possible = transport
    if possible == "shm" and not Arena.available():
        possible = "ipc"
    if possible == "ipc" and sys.platform == "win32":
        possible = "tcp"
    if possible != transport:
        log.warning("transport %s: not on this system; using %s", transport, possible)
    return possible


def _lock(folder: Path) -> int:
    """Locks a new folder for as long as the descriptor that it gives is open."""
    partial = folder / f"{_LOCK}.partial"
    descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    partial.rename(folder / _LOCK)  # nobody ever sees it without its lock
    return descriptor


def _sweep() -> None:
    """Removes the folders of runs that were killed."""
    for path in Path(tempfile.gettempdir()).glob("icstream-*-*"):
        match = re.fullmatch(r"icstream-(\d+)-\w+", path.name)
        if match and not _is_running(int(match[1])):
            with suppress(OSError):  # it has no lock, or somebody holds it
                _remove(path)


def _remove(folder: Path) -> None:
    """Removes the folder of a run, unless that goes on: in a container, it has another number."""
    descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
