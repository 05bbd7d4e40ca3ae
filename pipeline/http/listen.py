"""Sockets that listen, and whether other machines can reach them."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from icstream.stages.loopback import is_loopback_number

_AddressInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is to listen: the addresses that the name of a host stands for."""

    addresses: tuple[_AddressInfo, ...]
    """As `socket.getaddrinfo` gives them; the first is used."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach each of them."""
        return all(is_loopback_number(str(entry[4][0])) for entry in self.addresses)


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens; a process that inherits it may be replaced by another."""

    socket: socket.socket
    loopback: bool
    """Only this machine can reach it."""

    @property
    def url(self) -> str:
        """The address for people and browsers, without a path."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def resolve(host: str, port: int) -> Endpoint:
    """Return where a server would listen.

    Args:
        host: a name or a number; IPv6 with or without brackets.
        port: 0 lets the system choose one.

    Raises:
        OSError: the host stands for no address.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "not a name of a host") from error
    return Endpoint(tuple(found))


def listen_at(endpoint: Endpoint, *, backlog: int) -> Listener:
    """Return a socket that listens there and does not block.

    Args:
        endpoint: from `resolve`.
        backlog: connections that may wait to be accepted.

    Raises:
        OSError: the address cannot be used.
    """
    family, kind, protocol, _, address = endpoint.addresses[0]
    listener = socket.socket(family, kind, protocol)
    try:
        with suppress(OSError):  # so that a server may follow another at once
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return Listener(listener, endpoint.loopback)
