"""Where the service listens, and the token that clients must show."""

import os

from icstream.model import ConfigError
from icstream.pipeline.http.access import MIN_TOKEN_LENGTH, read_token_file
from icstream.pipeline.http.listen import Endpoint, Listener, listen_at, resolve
from icstream.pipeline.settings.serve import ServerSettings

TOKEN_VARIABLE = "ICSTREAM_SERVE_TOKEN"
_BACKLOG = 512


def find_endpoint(server: ServerSettings) -> Endpoint:
    """Return where the service is to listen.

    Raises:
        ConfigError: the host stands for no address.
    """
    try:
        return resolve(server.host, server.port)
    except OSError as error:
        raise _cannot_listen(server, error) from error


def read_token(server: ServerSettings, *, loopback: bool) -> str | None:
    """Return the token from its file or from the environment; None if there is none.

    Args:
        server: settings.
        loopback: only this machine can reach the service.

    Raises:
        ConfigError: it cannot be read, is too short, or is missing where it is needed.
    """
    if server.token_file is not None:
        origin, token = f"token file {server.token_file}", read_token_file(server.token_file)
    else:
        origin = f"environment variable {TOKEN_VARIABLE}"
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            if not loopback and not server.without_token:
                raise ConfigError(
                    f"server.host {server.host}: others could use the service; give it a token"
                    f" (--token-file or {TOKEN_VARIABLE}), or say --without-token"
                )
            return None
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
        raise ConfigError(f"{origin}: {MIN_TOKEN_LENGTH} or more printable characters are needed")
    return token


def open_listener(server: ServerSettings, endpoint: Endpoint) -> Listener:
    """Return a socket that listens.

    Raises:
        ConfigError: the address cannot be used.
    """
    try:
        return listen_at(endpoint, backlog=_BACKLOG)
    except OSError as error:
        raise _cannot_listen(server, error) from error


def _cannot_listen(server: ServerSettings, error: OSError) -> ConfigError:
    return ConfigError(f"{server.host}:{server.port}: cannot listen ({error.strerror})")
