"""Detection of addresses that only this machine can reach, and of valid port numbers."""

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listener at that name or address.

    A name may have several addresses, each of which must be a loopback address.

    Raises:
        OSError: The name has no address.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "not a name of a host") from error
    return bool(found) and all(is_loopback_number(str(entry[4][0])) for entry in found)


def is_loopback_number(number: str) -> bool:
    """Return whether a text is an address in 127.0.0.0/8 or ::1 (RFC 6890, section 2.2).

    IPv4 addresses mapped to IPv6 count as IPv4; names are never resolved.
    """
    try:
        address = ipaddress.ip_address(number.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def port_number(text: str) -> int | None:
    """Return the number of a port that others can be told; None if a text is none.

    At port 0 the system would choose one that nobody knows, and libzmq takes the remainder of
    numbers that are too large.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5):  # Python knows other digits
        return None
    return number if 0 < (number := int(text)) < 2**16 else None
