"""The address of the service, and the token for its clients."""

import os

from icstream.model import ConfigError
from icstream.pipeline.http.access import MIN_TOKEN_LENGTH, read_token_file
from icstream.pipeline.http.listen import Endpoint, Listener, listen_at, resolve
from icstream.pipeline.settings.serve import ServerSettings

TOKEN_VARIABLE = "ICSTREAM_SERVE_TOKEN"
_BACKLOG = 512


def find_endpoint(server: ServerSettings) -> Endpoint:
    """Return the addresses at which the service is to listen.

    Raises:
        ConfigError: the host has no address.
    """
    try:
        return resolve(server.host, server.port)
    except OSError as error:
        raise _cannot_listen(server, error) from error


def read_token(server: ServerSettings, *, loopback: bool) -> str | None:
    """Return the token from its file or the environment, or None.

    Args:
        server: the settings.
        loopback: whether only this machine can reach the service.

    Raises:
        ConfigError: the token cannot be read, is too short, or is missing although required.
    """
    if server.token_file is not None:
        origin, token = f"token file {server.token_file}", read_token_file(server.token_file)
    else:
        origin = f"environment variable {TOKEN_VARIABLE}"
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            if not loopback and not server.without_token:
                raise ConfigError(
                    f"server.host {server.host}: other machines can reach it; set an access token"
                    f" (--token-file or {TOKEN_VARIABLE}), or use --without-token"
                )
            return None
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
        raise ConfigError(f"{origin}: must have at least {MIN_TOKEN_LENGTH} printable characters")
    return token


def open_listener(server: ServerSettings, endpoint: Endpoint) -> Listener:
    """Return a listening socket.

    Raises:
        ConfigError: the address cannot be used.
    """
    try:
        return listen_at(endpoint, backlog=_BACKLOG)
    except OSError as error:
        raise _cannot_listen(server, error) from error


def _cannot_listen(server: ServerSettings, error: OSError) -> ConfigError:
    return ConfigError(f"{server.host}:{server.port}: cannot listen ({error.strerror})")
