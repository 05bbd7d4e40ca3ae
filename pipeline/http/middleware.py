"""ASGI middleware for access control, path prefixes of proxies, and headers for browsers."""

import re
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Literal, TypeAlias

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icstream.pipeline.http.access import is_cross_site, is_secret, names_loopback

Refusal: TypeAlias = Literal["foreign_host", "cross_site", "token_needed"]

PREFIX = "X-Forwarded-Prefix"
"""Header in which a proxy sends the path prefix of the server."""
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,64}){1,8}", re.ASCII)


def route_path(scope: Scope) -> str:
    """Return the path of a request without the prefix of a proxy, as routes see it."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class PrefixMiddleware:
    """Handles the path prefix under which a proxy serves the application.

    Whether or not the proxy has removed the prefix from the path, the application's routes match,
    and
    `root_path` holds the prefix for links.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "http":
            prefix = Headers(scope=scope).get(PREFIX, "").rstrip("/")
            path: str = scope["path"]
            if _PREFIX.fullmatch(prefix) and path.startswith("/"):
                own = path.removeprefix(prefix) if path.startswith(prefix + "/") else path
                # As the specification requires, `path` includes `root_path`.
                scope = {**scope, "path": prefix + own, "root_path": prefix}
        await self._app(scope, receive, send)


class HeadersMiddleware:
    """Adds headers to every response that does not have them already."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class AuthMiddleware:
    """Forwards allowed requests, and refuses others.

    With a token, a request must contain it. Without one, if only this machine can reach the server,
    the Host header must name this machine. Requests that a page of another site made a browser
    send,
    and that may change data, are refused unless they contain the token itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        loopback: bool,
        is_open: Callable[[str], bool],
        refuse: Callable[[Scope, Refusal], ASGIApp],
        cookie: tuple[str, str] | None = None,
    ) -> None:
        """Wrap an application.

        Args:
            app: the application.
            token: the token required from requests, or None for no token.
            loopback: whether only this machine can reach the application.
            is_open: returns whether a path needs no token.
            refuse: returns the response to a request that is not allowed.
            cookie: the name and value of a cookie that replaces the token, or None.
        """
        self._app = app
        self._token = token
        self._loopback = loopback
        self._is_open = is_open
        self._refuse = refuse
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification; web sockets are refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = self._refusal(scope)
            app = self._app if refusal is None else self._refuse(scope, refusal)
            await app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if self._is_open(route_path(scope)):
            return None
        if self._token is not None:
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() == "bearer":
                return None if is_secret(given.strip(), self._token) else "token_needed"
            if not self._has_cookie(headers):
                return "token_needed"
        # Every browser sends the host name that it was given; some probes send none.
        elif self._loopback and not names_loopback(headers.get("host") or "localhost"):
            return "foreign_host"
        return "cross_site" if is_cross_site(scope["method"], headers) else None

    def _has_cookie(self, headers: Headers) -> bool:
        if self._cookie is None:
            return False
        name, value = self._cookie
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(name)
        except CookieError:
            return False
        return morsel is not None and is_secret(morsel.value, value)
