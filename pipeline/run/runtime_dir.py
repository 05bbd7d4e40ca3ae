"""The runtime directory of a run: its sockets, its shared memory, and the lock that protects it."""

import fcntl
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from icstream.pipeline.hub.processes import Processes
from icstream.pipeline.wire.shared_memory import Arena
from icstream.pipeline.wire.sockets import HubSocket

log = logging.getLogger(__name__)

_MAX_SOCKET_PATH = 90
"""Longest path for sockets; the system allows 107 bytes including the name of the socket."""
_LOCK = "lock"
"""Name of the file in a runtime directory that is locked during the run."""


class RuntimeDir:
    """The hub's socket, shared memory and a folder for sockets, while the context lasts."""

    def __init__(self, transport: str) -> None:
        self.transport = _available_transport(transport)
        self.folder = ""
        """Folder for sockets, accessible to this user only."""
        self.arena: Arena | None = None
        self._lock: int | None = None

    def __enter__(self) -> "RuntimeDir":
        _remove_abandoned()
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


def _available_transport(transport: str) -> str:
    """Return the transport or, with a warning, the next best that this system supports."""
    available = transport
    if available == "shm" and not Arena.available():
        available = "ipc"
    if available == "ipc" and sys.platform == "win32":
        available = "tcp"
    if available != transport:
        log.warning("transport %s is not available on this system; using %s", transport, available)
    return available


def _lock(folder: Path) -> int:
    """Lock a new folder; the lock lasts as long as the returned descriptor is open."""
    partial = folder / f"{_LOCK}.partial"
    descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    partial.rename(folder / _LOCK)  # the lock file never exists unlocked
    return descriptor


def _remove_abandoned() -> None:
    """Remove the folders of runs that were killed."""
    for path in Path(tempfile.gettempdir()).glob("icstream-*-*"):
        match = re.fullmatch(r"icstream-(\d+)-\w+", path.name)
        if match and not _is_running(int(match[1])):
            with suppress(OSError):  # it has no lock, or another process holds the lock
                _remove(path)


def _remove(folder: Path) -> None:
    """Remove the folder of a run unless it is locked.

    The process id in the folder's name is not enough, because it differs between containers. Other
    users may have put anything into a shared temporary folder, so only our own folder is touched,
    and opening it never blocks.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with ExitStack() as stack:
        opened = os.open(folder, flags | os.O_DIRECTORY)
        stack.callback(os.close, opened)
        lock = os.open(_LOCK, flags, dir_fd=opened)
        stack.callback(os.close, lock)
        own = os.getuid()
        if os.fstat(opened).st_uid != own or os.fstat(lock).st_uid != own:
            return
        if stat.S_ISREG(os.fstat(lock).st_mode):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # the process belongs to another user
    return True
