"""Addresses of cameras and network streams, and what may be shown of them."""

import os
import re
from typing import Literal, TypeAlias
from urllib.parse import unquote

from icstream.model import ConfigError
from icstream.stages.decode.synthetic_spec import PREFIX as SYNTHETIC
from icstream.stages.loopback import is_loopback

Scheme: TypeAlias = Literal["device", "network", "zmq", "synthetic"]

NETWORK_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtmp")
"""Schemes that FFmpeg reads over a network."""

_MAX_SOCKET_PATH = 107

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_QUERY_BEGUN = re.compile(r"(.*@)?(\[[^\]]*\]|[^/?#:@\[]*)(:\d*)?(/[^?#]*)?[?#].*", re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expand(argument: str) -> str:
    """Return the argument with every ${NAME} replaced by that environment variable.

    Raises:
        ConfigError: there is no such variable.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"{shown(argument)}: there is no environment variable {match[1]}")
        return os.environ[match[1]]

    return _VARIABLE.sub(value, argument)


def scheme_of(address: str) -> Scheme | None:
    """Return what kind of live source an address stands for; None if it is none.

    Raises:
        ConfigError: a URL of a kind that cannot be read.
    """
    if address.isascii() and address.isdigit():
        return "device"
    if address.startswith("/dev/"):
        return "device"
    if address == SYNTHETIC.rstrip(":") or address.startswith(SYNTHETIC):
        return "synthetic"
    url = _URL.match(address)
    if url is None:
        return None
    if url[1].lower() == "zmq":
        return "zmq"
    if url[1].lower() in NETWORK_SCHEMES:
        return "network"
    known = ", ".join(f"{scheme}://" for scheme in (*NETWORK_SCHEMES, "zmq"))
    raise ConfigError(f"{shown(address)}: {url[1]}:// cannot be read; known are {known}")


def device_path(address: str) -> str:
    """Return the device file of a camera that was named by its number or its file."""
    return f"/dev/video{int(address)}" if address.isdigit() else address


def zmq_endpoint(address: str) -> str:
    """Return the ZeroMQ endpoint of zmq://HOST:PORT or zmq:///PATH.

    Raises:
        ConfigError: it is neither, or could be reached from other machines.
    """
    rest = address.partition("://")[2]
    if rest.startswith("/"):
        if len(os.fsencode(rest)) > _MAX_SOCKET_PATH:
            raise ConfigError(f"{shown(address)}: paths of sockets end at {_MAX_SOCKET_PATH} bytes")
        return f"ipc://{rest}"
    host, _, port = rest.rpartition(":")
    if not port.isdigit() or not host:
        raise ConfigError(f"{shown(address)}: write it as zmq://127.0.0.1:PORT or zmq:///PATH")
    if not _is_local(host):
        raise ConfigError(
            f"{shown(address)}: frames are taken from this machine only; use 127.0.0.1 or a path"
        )
    return f"tcp://{host}:{port}"


def _is_local(host: str) -> bool:
    try:
        return is_loopback(host)
    except OSError:
        return False  # "*", or the name of a network card


def shown(address: str) -> str:
    """Return the address without user, password and query: what may be logged and reported."""
    url = _URL.match(address)
    if url is None:
        return device_path(address)
    # A password may hold anything, also what should have been quoted: all before the last @ goes.
    before, _, rest = address[url.end() :].rpartition("@")
    if _QUERY_BEGUN.fullmatch(before):
        return url[0].lower()  # that @ may as well be one of the query
    return f"{url[0].lower()}{re.split(r'[?#]', rest, maxsplit=1)[0]}"


def live_name(address: str) -> str:
    """Return a name for the stream: cam0 for cameras, host and path for URLs."""
    if address.isdigit() or re.fullmatch(r"/dev/video\d+", address):
        return f"cam{int(re.sub(r'[^0-9]', '', address))}"
    if address.startswith("/dev/"):
        return address.rpartition("/")[2]
    if _URL.match(address) is None:
        return address.partition(":")[0]
    scheme, _, rest = shown(address).partition("://")
    host, _, path = rest.partition("/")
    host, _, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "")
    parts = [host.strip("[]") or f"{scheme}-{port}".strip("-"), *unquote(path).split("/")]
    return "_".join(filter(None, parts))
