"""The sockets between hub and workers, and how frames are put into messages.

The hub has one ROUTER socket, each worker a DEALER with a name that only the two of them know. Who
may send, and how much, is settled by credits: what is under way on a link is bounded by what the
hub has granted, so no high-water mark is ever reached.
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
"""As a plain number, which is compared in a third of the time."""
_USER = b"worker"


class WorkerLink:
    """A worker's end of its link to the hub."""

    def __init__(self, endpoint: str, name: bytes) -> None:
        """Connect; the hub knows the worker by its name."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.ROUTING_ID, name)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        connect_to_hub(self._socket, endpoint)
        self.num_received = 0
        """Messages read so far."""
        self.num_sent = 0
        """Messages sent so far."""

    def close(self, *, linger_s: float = 0) -> None:
        """Close the socket; what is not sent by then is discarded."""
        self._context.destroy(linger=round(1e3 * linger_s))

    def send(self, body: Message, payload: Sequence[Any] = ()) -> None:
        """Send a message and what travels behind it."""
        parts = [write(self.num_sent, body), *payload]
        self.num_sent += 1
        self._socket.send_multipart(parts, copy=False)

    def wait(self, timeout_s: float, *, also: int | None) -> None:
        """Wait until there is a message, or the descriptor `also` has something to read."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        if also is not None:
            poller.register(also, zmq.POLLIN)
        poller.poll(round(1e3 * timeout_s))

    def receive(self, timeout_s: float) -> tuple[Any, list[zmq.Frame]] | None:
        """Return the next message and what came behind it; None if none came in time.

        Raises:
            WireError: it cannot be read, or one before it is missing.
        """
        if not _has_message(self._socket) and (
            not timeout_s or not self._socket.poll(round(1e3 * timeout_s))
        ):
            return None
        header, *payload = self._socket.recv_multipart(copy=False)
        number, body = FROM_HUB.read(header.bytes)
        if number != self.num_received:
            raise WireError(f"message {number} from the hub came where {self.num_received} was due")
        self.num_received += 1
        return body, payload


def connect_to_hub(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    """Connect a worker's socket; `endpoint` is the hub's, with its password behind a #."""
    address, _, password = endpoint.partition("#")
    if password:
        socket.plain_username, socket.plain_password = _USER, password.encode()
    socket.connect(address)


class HubSocket:
    """The hub's end of all links.

    Any program of this machine may connect to a TCP port; without the password of the run nothing
    is taken from it. A path is in a folder that only this user can enter.
    """

    def __init__(self, endpoint: str) -> None:
        """Bind; `endpoint` may leave the port open.

        Attributes:
            endpoint: where workers connect to, for `connect_to_hub`; it is not to be shown.
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
        """Let only those in who know a new password; return it as the end of an endpoint."""
        from zmq.auth.thread import ThreadAuthenticator

        password = secrets.token_hex(16)
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_plain(domain="*", passwords={_USER.decode(): password})
        self.socket.plain_server = True
        return f"#{password}"

    def close(self) -> None:
        """Close the socket; what is not sent yet is discarded."""
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.destroy(linger=0)

    def send(self, name: bytes, number: int, body: Message, payload: Sequence[Any] = ()) -> bool:
        """Send a message; return False if the worker is not connected (any more)."""
        try:
            self.socket.send_multipart(
                [name, write(number, body), *payload], flags=zmq.NOBLOCK, copy=False
            )
        except (zmq.Again, zmq.ZMQError):
            return False
        return True

    def receive(self) -> tuple[bytes, bytes, list[zmq.Frame]] | None:
        """Return sender, header and payload of the next message; None if none is waiting."""
        if not _has_message(self.socket):
            return None
        name, *rest = self.socket.recv_multipart(copy=False)
        return name.bytes, rest[0].bytes if rest else b"", rest[1:]

    @staticmethod
    def read(header: bytes) -> tuple[int, Any]:
        """See `MessageReader.read`."""
        return FROM_WORKER.read(header)


def _has_message(socket: "zmq.Socket[bytes]") -> bool:
    """Return whether a message is waiting; a tenth of the time of asking for it in vain."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & _READABLE)
