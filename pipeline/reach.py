"""Who can reach an address."""

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """True if only this machine can reach what listens at that name or number.

    Raises:
        OSError: the name stands for no address.
    """
    found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    places = {str(entry[4][0]).partition("%")[0] for entry in found}
    return all(ipaddress.ip_address(place).is_loopback for place in places)
