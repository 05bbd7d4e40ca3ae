"""Access control of a server: tokens, and checks of the Host header and the origin."""

import hmac
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from icstream.model import ConfigError
from icstream.stages.loopback import is_loopback_number

MIN_TOKEN_LENGTH = 16
"""Fewest characters of a token."""
_SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing (RFC 9110, section 9.2.1)."""
_OWN_SITE = ("same-origin", "none")
"""Values of Sec-Fetch-Site for the server's own pages and for addresses typed by a user."""


def read_token_file(path: Path) -> str:
    """Return the token in a file, without surrounding white space.

    Raises:
        ConfigError: the file cannot be read, or contains non-ASCII characters.
    """
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(f"token file {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"token file {path}: only ASCII characters are allowed") from error


def is_secret(given: str, expected: str) -> bool:
    """Return whether two texts are equal, in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def names_loopback(host: str) -> bool:
    """Return whether the Host header of a request is localhost or a loopback address.

    The header may end with a port. Other names are never resolved: their owner could point them to
    this machine, and pages of that owner could then send requests (DNS rebinding).
    """
    host = host.lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name == "localhost" or is_loopback_number(name.strip("[]"))


def is_cross_site(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a page of another origin made a browser send a request that may change data.

    Sec-Fetch-Site decides; for browsers that do not send it, Origin does. Programs send neither.

    Args:
        method: the method of the request.
        headers: the headers, by lower-case name.
    """
    if method in _SAFE:
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITE
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True
