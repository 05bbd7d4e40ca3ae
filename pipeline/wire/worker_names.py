"""The names by which the hub identifies the sockets of its workers."""

import secrets

_NUM_BYTES = 16
_HEARTBEAT = b"beat"


def new_worker_name() -> bytes:
    """Return a name that cannot be guessed."""
    return secrets.token_bytes(_NUM_BYTES)


def heartbeat_name(name: bytes) -> bytes:
    """Return the name of the socket that sends a worker's heartbeats."""
    return name + _HEARTBEAT


def worker_of(socket_name: bytes) -> bytes:
    """Return the name of the worker that a socket belongs to."""
    return socket_name[:_NUM_BYTES]
