"""Where the view and the metrics listen, and the rule for who may reach them."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec

from icstream.model import ConfigError
from icstream.pipeline.http.access import is_loopback

LEAST_TOKEN = 16
"""Characters of a token, at least."""
_BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens. The server's process inherits it, and so may be replaced."""

    socket: socket.socket
    loopback: bool
    """Only this machine can reach it."""

    @property
    def url(self) -> str:
        """Gives the address for people."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def check_packages() -> None:
    """Raises ConfigError if what the server is made from is not installed."""
    needed = ("prometheus_client", "starlette", "uvicorn")
    missing = [name for name in needed if not find_spec(name)]
    if missing:
        raise ConfigError(
            f"the live view needs {', '.join(missing)}: pip install 'icstream[serve]'"
        )


def listen(setting: str, address: str, *, token: str | None) -> Listener:
    """Gives a socket that listens at HOST:PORT.

    Args:
        setting: what the address was given for, for error messages.
        address: port 0 lets the system choose one.
        token: what readers must know.

    Raises:
        ConfigError: the address cannot be used, or others can reach it and there is no good token.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{setting}: got {address!r}, write it as HOST:PORT, as 127.0.0.1:8787")
    if token is not None and len(token) < LEAST_TOKEN:
        raise ConfigError(
            f"view.token: got {len(token)} characters, at least {LEAST_TOKEN} are needed"
        )
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        family, kind, protocol, _, place = found[0]
        loopback = is_loopback(str(place[0]))
        if not loopback and token is None:
            raise ConfigError(
                f"{setting} {address}: other machines could look in; set a token that they must"
                f" know (--view-token or ICSTREAM_VIEW_TOKEN, at least {LEAST_TOKEN} characters)"
            )
        return Listener(_bound(family, kind, protocol, place), loopback)
    except OSError as error:
        raise ConfigError(f"{setting} {address}: cannot listen ({error.strerror})") from error


def _bound(
    family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, place: object
) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        with suppress(OSError):  # so that a run may follow another at once
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)  # type: ignore[arg-type]  # it is what getaddrinfo gave
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
