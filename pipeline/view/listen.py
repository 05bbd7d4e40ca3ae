"""The sockets of the view and the metrics, and the rules for access to them."""

from icstream.model import ConfigError
from icstream.model.packages import check_installed
from icstream.pipeline.http.access import MIN_TOKEN_LENGTH
from icstream.pipeline.http.listen import Listener, listen_at, resolve
from icstream.pipeline.http.numbers import read_number

_BACKLOG = 64


def check_packages() -> None:
    """Raise `ConfigError` if a package that the server needs is not installed."""
    needed = ("prometheus-client", "starlette", "uvicorn")
    check_installed(needed, extra="serve", needed_by="the live view")


def open_listener(setting: str, address: str, *, token: str | None) -> Listener:
    """Return a socket that listens at HOST:PORT.

    Args:
        setting: the name of the setting, for errors.
        address: the address; port 0 picks a free port.
        token: the token required from viewers, or None for no token.

    Raises:
        ConfigError: the address cannot be used, or is not local and has no valid token.
    """
    host, _, text = address.rpartition(":")
    port = read_number(text)
    if not host or port is None or port > 65535:
        raise ConfigError(f"{setting}: must be HOST:PORT, such as 127.0.0.1:8787, got {address!r}")
    if token is not None and len(token) < MIN_TOKEN_LENGTH:
        raise ConfigError(
            f"view.token: must have at least {MIN_TOKEN_LENGTH} characters, got {len(token)}"
        )
    try:
        endpoint = resolve(host, port)
        if not endpoint.loopback and token is None:
            raise ConfigError(
                f"{setting} {address}: other machines can reach it; set an access token"
                " (--view-token or ICSTREAM_VIEW_TOKEN, at least"
                f" {MIN_TOKEN_LENGTH} characters)"
            )
        return listen_at(endpoint, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"{setting} {address}: cannot listen ({error.strerror})") from error
