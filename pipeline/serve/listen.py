"""Where the service listens, and the secret that stands before it."""

import os
import socket

from icstream.model import ConfigError
from icstream.pipeline.settings.serve import ServerSettings

TOKEN_VARIABLE = "ICSTREAM_SERVE_TOKEN"
_LEAST_TOKEN = 16
"""Characters of a token."""
_BACKLOG = 512


def read_token(server: ServerSettings) -> str | None:
    """Gives the token from its file or from the environment; None: there is none.

    Raises:
        ConfigError: it cannot be read, is too short, or is missing where it is needed.
    """
    origin = f"environment variable {TOKEN_VARIABLE}"
    token = os.environ.get(TOKEN_VARIABLE, "")
    if server.token_file is not None:
        origin = f"token file {server.token_file}"
        try:
            token = server.token_file.read_text(encoding="ascii")
        except OSError as error:
            raise ConfigError(f"{origin}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{origin}: only ASCII characters are allowed") from error
    token = token.strip()
    if not token and server.token_file is None:
        if server.beyond_this_machine and not server.without_token:
            raise ConfigError(
                f"server.host {server.host}: others could use the service; give it a token"
                f" (--token-file or {TOKEN_VARIABLE}), or say --without-token"
            )
        return None
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(f"{origin}: {_LEAST_TOKEN} or more printable characters are needed")
    return token


def listen(server: ServerSettings) -> socket.socket:
    """Gives a socket that listens.

    Raises:
        ConfigError: the address cannot be used.
    """
    place = f"{server.host}:{server.port}"
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(f"{place}: cannot listen ({error.strerror})") from error
    listener.setblocking(False)
    return listener


def url(listener: socket.socket) -> str:
    """Gives the address for people."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
