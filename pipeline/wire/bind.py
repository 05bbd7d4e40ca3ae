"""Binding of ZeroMQ sockets to well-known addresses without replacing anything there.

libzmq unlinks whatever is at the path of an ipc endpoint, even a recording or the socket of another
run. So the path is bound here, and the listening socket is passed to libzmq.
"""

import errno
import os
import socket
import stat
from contextlib import suppress
from typing import Any

import zmq

_MAX_PATH_BYTES = 107
_BACKLOG = 100


class PathListener:
    """A socket that listens at a path, which is removed on release.

    Attributes:
        socket: the non-blocking socket.
    """

    def __init__(self, path: str, *, mode: int | None = None) -> None:
        """Listen at a path.

        Args:
            path: the path, where nothing but an abandoned socket may exist.
            mode: the permissions of the path; None to use the umask.

        Raises:
            OSError: the path cannot be used; `strerror` contains the reason.
        """
        self._path = path
        self.socket = _listen(path, mode)
        self._inode = _inode_of(path)

    def release(self) -> None:
        """Remove the path, if it still belongs to this socket."""
        if self._inode is not None and _inode_of(self._path) == self._inode:
            with suppress(OSError):
                os.unlink(self._path)


class BoundEndpoint:
    """The bound address of a ZeroMQ socket, which becomes free on release."""

    def __init__(self, bound: "zmq.Socket[Any]", endpoint: str) -> None:
        """Bind a socket.

        Args:
            bound: the socket, with its other options set.
            endpoint: ipc://PATH or tcp://HOST:PORT.

        Raises:
            OSError: the address cannot be used; `strerror` contains the reason.
        """
        self._listener: PathListener | None = None
        kind, _, place = endpoint.partition("://")
        if kind == "ipc":
            self._listener = PathListener(place)
            bound.setsockopt(zmq.USE_FD, self._listener.socket.detach())
        else:
            bound.setsockopt(zmq.IPV6, int("[" in place))
        try:
            bound.bind(endpoint)
        except zmq.ZMQError as error:
            raise explained(error) from None

    def release(self) -> None:
        """Remove the path of an ipc endpoint."""
        if self._listener is not None:
            self._listener.release()


def check_endpoint(endpoint: str) -> None:
    """Check that a socket could be bound to an address now.

    Raises:
        OSError: it could not; `strerror` contains the reason.
    """
    with zmq.Context() as context, context.socket(zmq.PAIR) as probe:
        probe.setsockopt(zmq.LINGER, 0)
        BoundEndpoint(probe, endpoint).release()


def explained(error: "OSError | zmq.ZMQError") -> OSError:
    """Return an error of binding with a text of our own."""
    code = error.errno
    why = "in use" if code == errno.EADDRINUSE else str(error.strerror).lower()
    return OSError(code, why)


def _listen(path: str, mode: int | None) -> socket.socket:
    """Return a socket that listens at a path without an active listener."""
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"paths of sockets have at most {_MAX_PATH_BYTES} bytes")
    _make_free(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            listener.bind(path)  # never replaces anything
        except OSError as error:
            raise explained(error) from None
        if mode is not None:
            os.chmod(path, mode)  # before any client can connect
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _make_free(path: str) -> None:
    """Remove an abandoned socket at a path; raise for anything else that is there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a file"
        what = "a link" if stat.S_ISLNK(found.st_mode) else what
        raise OSError(errno.EEXIST, f"is {what}, which a socket does not replace")
    if _is_alive(path):
        raise OSError(errno.EADDRINUSE, "in use")
    # Another program may do the same at this moment, so only the socket that was probed is removed.
    aside = f"{path}.{os.getpid()}"
    os.rename(path, aside)
    try:
        if _inode_of(aside) != (found.st_dev, found.st_ino):
            with suppress(FileExistsError):
                os.link(aside, path)
            raise OSError(errno.EADDRINUSE, "in use")
    finally:
        os.unlink(aside)


def _is_alive(path: str) -> bool:
    """Return whether a process listens at a socket's path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # a socket of another kind, with a full queue, or without permission
    return True


def _inode_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
