"""Listening sockets, and whether other machines can reach them."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from icstream.stages.loopback import is_loopback_number

_AddressInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The addresses of a host that a server is to listen at."""

    addresses: tuple[_AddressInfo, ...]
    """Addresses as returned by `socket.getaddrinfo`, of which the first is used."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach each of the addresses."""
        return all(is_loopback_number(str(entry[4][0])) for entry in self.addresses)


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, which processes can inherit one after another."""

    socket: socket.socket
    loopback: bool
    """Whether only this machine can reach it."""

    @property
    def url(self) -> str:
        """The URL for people and browsers, without a path."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def resolve(host: str, port: int) -> Endpoint:
    """Return the addresses of a host.

    Args:
        host: a name or a number; IPv6 with or without brackets.
        port: the port; 0 picks a free one.

    Raises:
        OSError: the host has no address.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    return Endpoint(tuple(found))


def listen_at(endpoint: Endpoint, *, backlog: int) -> Listener:
    """Return a non-blocking socket that listens at an endpoint.

    Args:
        endpoint: the endpoint, from `resolve`.
        backlog: the most connections that wait to be accepted.

    Raises:
        OSError: the address cannot be used.
    """
    family, kind, protocol, _, address = endpoint.addresses[0]
    listener = socket.socket(family, kind, protocol)
    try:
        with suppress(OSError):  # allows a server to replace another immediately
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return Listener(listener, endpoint.loopback)
