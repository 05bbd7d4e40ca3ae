"""The sockets of the view and of the metrics, and the rule for who may reach them."""

from icstream.model import ConfigError
from icstream.model.packages import check_installed
from icstream.pipeline.http.access import MIN_TOKEN_LENGTH
from icstream.pipeline.http.listen import Listener, listen_at, resolve
from icstream.pipeline.http.numbers import read_number

_BACKLOG = 64


def check_packages() -> None:
    """Raise ConfigError if what the server is made from is not installed."""
    needed = ("prometheus-client", "starlette", "uvicorn")
    check_installed(needed, extra="serve", needed_by="the live view")


def open_listener(setting: str, address: str, *, token: str | None) -> Listener:
    """Return a socket that listens at HOST:PORT.

    Args:
        setting: what the address was given for, for error messages.
        address: port 0 lets the system choose one.
        token: the token that viewers must have; None: there is none.

    Raises:
        ConfigError: the address cannot be used, or others can reach it and there is no good token.
    """
    host, _, text = address.rpartition(":")
    port = read_number(text)
    if not host or port is None or port > 65535:
        raise ConfigError(f"{setting}: got {address!r}, write it as HOST:PORT, as 127.0.0.1:8787")
    if token is not None and len(token) < MIN_TOKEN_LENGTH:
        raise ConfigError(
            f"view.token: got {len(token)} characters, at least {MIN_TOKEN_LENGTH} are needed"
        )
    try:
        endpoint = resolve(host, port)
        if not endpoint.loopback and token is None:
            raise ConfigError(
                f"{setting} {address}: other machines could look in; set a token that they must"
                " know (--view-token or ICSTREAM_VIEW_TOKEN, at least"
                f" {MIN_TOKEN_LENGTH} characters)"
            )
        return listen_at(endpoint, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"{setting} {address}: cannot listen ({error.strerror})") from error
