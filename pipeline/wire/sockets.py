"""The sockets between hub and workers.

The hub has one ROUTER socket; each worker has a DEALER with a name that only the two know. Traffic
is controlled by credits: the data in transit on a link is bounded by what the hub has granted, so
no
high-water mark is ever reached.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zmq

from icstream.pipeline.wire.headers import FROM_HUB, FROM_WORKER, write
from icstream.pipeline.wire.messages import (
    MAX_BYTES,
    Message,
    WireError,
)

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

_READABLE = int(zmq.POLLIN)
"""The flag as a plain integer, which compares three times as fast."""
_USER = b"worker"


class WorkerLink:
    """A worker's end of its link to the hub."""

    def __init__(self, endpoint: str, name: bytes) -> None:
        """Connect to the hub, which identifies the worker by its name."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.ROUTING_ID, name)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        connect_to_hub(self._socket, endpoint)
        self.num_received = 0
        """Number of messages read so far."""
        self.num_sent = 0
        """Number of messages sent so far."""

    def close(self, *, linger_s: float = 0) -> None:
        """Close the socket; messages not sent within `linger_s` seconds are discarded."""
        self._context.destroy(linger=round(1e3 * linger_s))

    def send(self, body: Message, payload: Sequence[Any] = ()) -> None:
        """Send a message and its payload."""
        parts = [write(self.num_sent, body), *payload]
        self.num_sent += 1
        self._socket.send_multipart(parts, copy=False)

    def wait(self, timeout_s: float, *, also: int | None) -> None:
        """Wait until there is a message, or the descriptor `also` is readable."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        if also is not None:
            poller.register(also, zmq.POLLIN)
        poller.poll(round(1e3 * timeout_s))

    def receive(self, timeout_s: float) -> tuple[Any, list[zmq.Frame]] | None:
        """Return the next message and its payload, or None after the timeout."""
        if not _has_message(self._socket) and (
            not timeout_s or not self._socket.poll(round(1e3 * timeout_s))
        ):
            return None
        header, *payload = self._socket.recv_multipart(copy=False)
        number, body = FROM_HUB.read(header.bytes)
        if number != self.num_received:
            raise WireError(
                f"received message {number} from the hub instead of {self.num_received}"
            )
        self.num_received += 1
        return body, payload


def connect_to_hub(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    """Connect a worker's socket to the hub's endpoint, which may end in # and a password."""
    address, _, password = endpoint.partition("#")
    if password:
        socket.plain_username, socket.plain_password = _USER, password.encode()
    socket.connect(address)


class HubSocket:
    """The hub's end of all links.

    Any program on this machine may connect to a TCP port, but is ignored without the password of
    the run. An ipc path lies in a folder that only this user can enter.
    """

    def __init__(self, endpoint: str) -> None:
        """Bind the socket; `endpoint` may leave the port open.

        Attributes:
            endpoint: the address for `connect_to_hub`; it may contain a password, so never show it.
        """
        self._context = zmq.Context()
        self._authenticator: ThreadAuthenticator | None = None
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        password = self._demand_password() if endpoint.startswith("tcp://") else ""
        self.socket.bind(endpoint)
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT) + password

    def _demand_password(self) -> str:
        """Require a new password, and return it as the end of an endpoint."""
        from zmq.auth.thread import ThreadAuthenticator

        password = secrets.token_hex(16)
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_plain(domain="*", passwords={_USER.decode(): password})
        self.socket.plain_server = True
        return f"#{password}"

    def close(self) -> None:
        """Close the socket; unsent messages are discarded."""
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.destroy(linger=0)

    def send(self, name: bytes, number: int, body: Message, payload: Sequence[Any] = ()) -> bool:
        """Send a message; return False if the worker is not connected."""
        try:
            self.socket.send_multipart(
                [name, write(number, body), *payload], flags=zmq.NOBLOCK, copy=False
            )
        except (zmq.Again, zmq.ZMQError):
            return False
        return True

    def receive(self) -> tuple[bytes, bytes, list[zmq.Frame]] | None:
        """Return sender, header and payload of the next message, or None if none is waiting."""
        if not _has_message(self.socket):
            return None
        name, *rest = self.socket.recv_multipart(copy=False)
        return name.bytes, rest[0].bytes if rest else b"", rest[1:]

    @staticmethod
    def read(header: bytes) -> tuple[int, Any]:
        """Return the number of a message from a worker and the message itself."""
        return FROM_WORKER.read(header)


def _has_message(socket: "zmq.Socket[bytes]") -> bool:
    """Return whether a message is waiting, in a tenth of the time of a failed receive."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & _READABLE)
