"""Addresses of cameras and network streams, and their display without secrets."""

import os
import re
from typing import Literal, TypeAlias
from urllib.parse import quote, unquote

from icstream.model import ConfigError
from icstream.model.shown import HIDDEN, escape, printable
from icstream.stages.decode.synthetic_spec import PREFIX as SYNTHETIC
from icstream.stages.loopback import is_loopback, port_number

Scheme: TypeAlias = Literal["device", "network", "zmq", "synthetic"]

NETWORK_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtmp")
"""The schemes of URLs that FFmpeg reads over a network."""

_MAX_SOCKET_PATH = 107

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_QUERY_BEGUN = re.compile(r"(.*@)?(\[[^\]]*\]|[^/?#:@\[]*)(:\d*)?(/[^?#]*)?[?#].*", re.DOTALL)
_LOGIN = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)@", re.IGNORECASE)
_ENDS_LOGIN = re.compile(r"[/?#@\[\]\\\s]")
_MISTYPED_LOGIN = re.compile(r"((?:[a-z][a-z0-9+.-]*:)?[/\\]*).*@", re.IGNORECASE | re.DOTALL)
"""The text before the last @ of an argument that is not a URL but may be a mistyped one."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def expand(argument: str) -> str:
    """Return the argument with every ${NAME} replaced by that environment variable.

    Between :// and @ the value is percent-encoded if it holds a character that would end a
    password.

    Raises:
        ConfigError: There is no such variable.
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
    """Return the path in a file:// URL of this machine, and anything else unchanged.

    Raises:
        ConfigError: The URL names another machine.
    """
    scheme, separator, rest = argument.partition("://")
    if not separator or scheme.lower() != "file":
        return argument
    host, _, path = rest.partition("/")
    if host.lower() not in ("", "localhost"):
        raise ConfigError(
            f"{shown(argument)}: only files of this machine can be read; write file:///PATH"
        )
    return unquote(f"/{path}", errors="surrogateescape")


def scheme_of(address: str) -> Scheme | None:
    """Return the kind of live source that an address means, or None.

    Raises:
        ConfigError: The URL has no host, or its scheme cannot be read.
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
            raise ConfigError(f"{shown(address)}: has no host; write {url[1]}://HOST/PATH")
        return "network"
    known = ", ".join(f"{scheme}://" for scheme in (*NETWORK_SCHEMES, "zmq"))
    raise ConfigError(f"{shown(address)}: {url[1]}:// cannot be read; allowed are {known}")


def device_path(address: str) -> str:
    """Return the device file of a camera, given by its number or file."""
    is_number = address.isascii() and address.isdigit()
    return f"/dev/video{int(address)}" if is_number else address


def zmq_endpoint(address: str) -> str:
    """Return the ZeroMQ endpoint of zmq://HOST:PORT or zmq:///PATH.

    Raises:
        ConfigError: The address is neither, or could be reached from other machines.
    """
    rest = address.partition("://")[2]
    if rest.startswith("/"):
        if len(os.fsencode(rest)) > _MAX_SOCKET_PATH:
            raise ConfigError(
                f"{shown(address)}: a socket path has at most {_MAX_SOCKET_PATH} bytes"
            )
        if "\0" in rest:
            raise ConfigError(f"{shown(address)}: a path has no zero bytes")
        return f"ipc://{rest}"
    host, _, port = rest.rpartition(":")
    if not host or port_number(port) is None:
        raise ConfigError(
            f"{shown(address)}: write it as zmq://127.0.0.1:PORT, with a port of 1 to 65535,"
            " or as zmq:///PATH"
        )
    if not _is_local(host):
        raise ConfigError(
            f"{shown(address)}: frames are accepted from this machine only; use 127.0.0.1 or a path"
        )
    return f"tcp://{host}:{port}"


def _is_local(host: str) -> bool:
    try:
        return is_loopback(host)
    except OSError:
        return False  # "*", or the name of a network interface


def shown(address: str) -> str:
    """Return the address without user, password and query, for logs and reports.

    A URL may follow other text, such as the name of another package's source; a mistyped URL may
    also hold a password.
    """
    url = _URL.match(address)
    if url is None:
        return _shown_no_url(device_path(address))
    # A password may contain unquoted special characters, so everything before the last @ is
    # removed.
    before, _, rest = address[url.end() :].rpartition("@")
    if _QUERY_BEGUN.fullmatch(before):
        return url[0].lower()  # the last @ may also belong to the query
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
