"""Who can reach an address, and who may."""

import hmac
import ipaddress
import socket

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str) -> bool:
    """True if only this machine can reach what listens at that name or number.

    Raises:
        OSError: the name stands for no address.
    """
    found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    places = {str(entry[4][0]).partition("%")[0] for entry in found}
    return all(ipaddress.ip_address(place).is_loopback for place in places)


def names_loopback(host: str) -> bool:
    """True if the Host header of a request, with or without a port, is this machine's own name.

    A page of somebody else may have had its name point to this machine.
    """
    host = host.lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in _LOOPBACK_NAMES


def is_secret(given: str, wanted: str) -> bool:
    """Compares in a time that does not tell how much was right."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())
