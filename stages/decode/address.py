"""Addresses of cameras and network streams, and what may be shown of them."""

import os
import re
from typing import Literal, TypeAlias
from urllib.parse import quote, unquote

from icstream.model import ConfigError
from icstream.model.shown import HIDDEN, escape, printable
from icstream.stages.decode.synthetic_spec import PREFIX as SYNTHETIC
from icstream.stages.loopback import is_loopback

Scheme: TypeAlias = Literal["device", "network", "zmq", "synthetic"]

NETWORK_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtmp")
"""Schemes that FFmpeg reads over a network."""

_MAX_SOCKET_PATH = 107

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_QUERY_BEGUN = re.compile(r"(.*@)?(\[[^\]]*\]|[^/?#:@\[]*)(:\d*)?(/[^?#]*)?[?#].*", re.DOTALL)
_LOGIN = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)@", re.IGNORECASE)
_ENDS_LOGIN = re.compile(r"[/?#@\[\]\\\s]")
_MISTYPED_LOGIN = re.compile(r"((?:[a-z][a-z0-9+.-]*:)?[/\\]*).*@", re.IGNORECASE | re.DOTALL)
"""What stands before the last @ of something that is no URL, and may have been meant as one."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expand(argument: str) -> str:
    """Return the argument with every ${NAME} replaced by that environment variable.

    Between :// and @ the value is quoted if it holds a character that would end a password there.

    Raises:
        ConfigError: there is no such variable.
    """
    login = _LOGIN.match(argument)

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"{shown(argument)}: there is no environment variable {match[1]}")
        text = os.environ[match[1]]
        if login is None or match.end() > login.end(1) or not _ENDS_LOGIN.search(text):
            return text
        has_user = ":" in argument[login.start(1) : match.start()]
        return quote(text, safe="" if has_user else ":")

    return _VARIABLE.sub(value, argument)


def local_path(argument: str) -> str:
    """Return the path in a file:// URL of this machine; anything else as it is.

    Raises:
        ConfigError: the URL names another machine.
    """
    scheme, separator, rest = argument.partition("://")
    if not separator or scheme.lower() != "file":
        return argument
    host, _, path = rest.partition("/")
    if host.lower() not in ("", "localhost"):
        raise ConfigError(
            f"{shown(argument)}: files are read from this machine only; write file:///PATH"
        )
    return unquote(f"/{path}", errors="surrogateescape")


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
        if not address[url.end() :].partition("/")[0]:
            raise ConfigError(f"{shown(address)}: names no host; write {url[1]}://HOST/PATH")
        return "network"
    known = ", ".join(f"{scheme}://" for scheme in (*NETWORK_SCHEMES, "zmq"))
    raise ConfigError(f"{shown(address)}: {url[1]}:// cannot be read; known are {known}")


def device_path(address: str) -> str:
    """Return the device file of a camera that was named by its number or its file."""
    is_number = address.isascii() and address.isdigit()
    return f"/dev/video{int(address)}" if is_number else address


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
    """Return the address without user, password and query: what may be logged and reported.

    A URL may stand behind other text, such as the name of another package's source; what looks
    like a URL with a mistake in it holds a password as well.
    """
    url = _URL.match(address)
    if url is None:
        return _shown_no_url(device_path(address))
    # A password may hold anything, also what should have been quoted: all before the last @ goes.
    before, _, rest = address[url.end() :].rpartition("@")
    if _QUERY_BEGUN.fullmatch(before):
        return url[0].lower()  # that @ may as well be one of the query
    return escape(f"{url[0].lower()}{re.split(r'[?#]', rest, maxsplit=1)[0]}")


def _shown_no_url(text: str) -> str:
    url = _URL.search(text)
    if url is not None:
        return _shown_no_url(text[: url.start()]) + shown(text[url.start() :])
    login = _MISTYPED_LOGIN.match(text)
    if login is not None and ":" in login[0]:
        text = f"{login[1]}{HIDDEN}@{text[login.end() :]}"
    return printable(text)


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
