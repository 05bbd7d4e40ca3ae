"""The gate in front of a ZeroMQ socket that any program on this machine may connect to."""

import errno
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import zmq

from icstream.pipeline.wire.bind import PathListener, explained
from icstream.pipeline.wire.zmtp import FrameReader, PeerCheck, ZmtpError

log = logging.getLogger(__name__)

_CHUNK = 256 * 1024
_HANDSHAKE_MS = 10_000
_SILENT_S = 10.0
"""A peer that sends nothing for so long makes way for another where all places are taken."""
_MAKE_WAY_S = 5.0
"""Longest time for a place to become free once its connection is closed."""
_SAID_EVERY_S = 60.0
_BACKLOG = 64


MakeCheck: TypeAlias = Callable[[Callable[[], None]], PeerCheck]
"""Creates the check of a peer, given a function that closes its connection."""


class Gate:
    """A gate that forwards what peers may send, and closes the connections of others.

    It listens at an address and forwards each connection to the socket, which only this process
    can reach. Where there are too many, one that sends nothing makes way.
    """

    def __init__(
        self,
        bound: "zmq.Socket[Any]",
        endpoint: str,
        *,
        make_check: MakeCheck,
        max_peers: int,
        mode: int | None = None,
    ) -> None:
        """Listen at an address.

        Args:
            bound: the socket to bind, with its other options set.
            endpoint: ipc://PATH or tcp://HOST:PORT.
            make_check: creates the check of a peer, given a function that closes its connection.
            max_peers: the most connections at a time; a further one replaces one that has sent
                nothing, or nothing for long, and is closed if there is none.
            mode: the permissions of a path; None to use the umask.

        Raises:
            OSError: the address cannot be used; `strerror` contains the reason.
        """
        self._make_check = make_check
        self._places = threading.BoundedSemaphore(max_peers)
        self._said_s = 0.0
        self._open: set[socket.socket] = set()
        self._readers: dict[socket.socket, FrameReader] = {}
        """By connection, the oldest first."""
        self._is_closed = False
        kind, _, place = endpoint.partition("://")
        self._path = PathListener(place, mode=mode) if kind == "ipc" else None
        self._listener = _listen_tcp(place) if self._path is None else self._path.socket
        self._listener.setblocking(True)
        # An abstract socket, which leaves no file behind; the filter keeps all other processes out.
        self._inner = f"icstream-{secrets.token_hex(16)}"
        bound.setsockopt(zmq.IPC_FILTER_PID, os.getpid())
        bound.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        bound.bind(f"ipc://@{self._inner}")
        threading.Thread(target=self._accept, daemon=True).start()

    def release(self) -> None:
        """Stop listening, and close all connections."""
        self._is_closed = True
        for peer in (self._listener, *list(self._open)):
            _hang_up(peer)
        self._listener.close()
        if self._path is not None:
            self._path.release()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                peer, _ = self._listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED):
                    time.sleep(0.1)
                    continue
                return  # it was closed
            if not self._places.acquire(blocking=False) and not self._make_way():
                peer.close()
                self._say("is one too many")
                continue
            check = self._make_check(partial(_hang_up, peer))
            self._readers[peer] = FrameReader(check)
            threading.Thread(target=self._serve, args=(peer, check), daemon=True).start()

    def _make_way(self) -> bool:
        """Close the least useful connection and take its place; False if all are useful.

        Those that never sent a message go first, then those that sent one long ago.
        """
        before_s = time.monotonic() - _SILENT_S
        idle = [
            (reader.spoke_s or 0.0, peer)
            for peer, reader in list(self._readers.items())
            if not reader.check.keeps_place and (reader.spoke_s or 0.0) < before_s
        ]
        if not idle:
            return False
        _, peer = min(idle, key=lambda entry: entry[0])
        self._say("is silent, and others need its place")
        _hang_up(peer)
        return self._places.acquire(timeout=_MAKE_WAY_S)

    def _serve(self, peer: socket.socket, check: PeerCheck) -> None:
        """Forward what one peer sends, until it violates a limit or disconnects."""
        reader = self._readers[peer]
        try:
            with peer, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as inner:
                self._open |= {peer, inner}
                inner.connect(f"\0{self._inner}")
                answers = threading.Thread(target=_pass_on, args=(inner, peer, None), daemon=True)
                answers.start()
                try:
                    _pass_on(peer, inner, reader)
                except ZmtpError as error:
                    self._say(str(error))
                _hang_up(peer)
                _hang_up(inner)
                answers.join()
                self._open -= {peer, inner}
        except OSError:
            pass  # one of the two has disconnected
        finally:
            check.close()
            del self._readers[peer]
            self._places.release()

    def _say(self, what: str) -> None:
        """Log why a connection is closed, once a minute at most, as peers may reconnect."""
        now_s = time.monotonic()
        if now_s - self._said_s > _SAID_EVERY_S or not self._said_s:
            self._said_s = now_s
            log.warning("a ZeroMQ peer %s; closing its connection", what)


def _listen_tcp(place: str) -> socket.socket:
    host, _, port = place.rpartition(":")
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise explained(error) from None


def _pass_on(source: socket.socket, target: socket.socket, reader: FrameReader | None) -> None:
    """Forward data until there is no more.

    Raises:
        ZmtpError: the reader rejects the data.
    """
    buffer = memoryview(bytearray(_CHUNK))
    with suppress(OSError):
        while count := source.recv_into(buffer):
            if reader is not None:
                reader.feed(buffer[:count])
            target.sendall(buffer[:count])
    _hang_up(target)


def _hang_up(peer: socket.socket) -> None:
    with suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
