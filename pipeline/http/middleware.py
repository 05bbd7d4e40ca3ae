"""What stands before an ASGI application: who may ask, and headers for browsers."""

from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Literal, TypeAlias

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icstream.pipeline.http.access import is_secret, names_loopback

Refusal: TypeAlias = Literal["foreign_host", "token_needed"]


class HeadersMiddleware:
    """Adds headers to every response that does not have them yet."""

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
    """Passes on the requests that are allowed, and refuses the others.

    If there is a token, a request must contain it. If there is none, and only this machine can
    reach the server, the request's Host header must be a name of this machine.
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
        """Make the middleware before an application.

        Args:
            app: the application.
            token: the token that requests must contain; None: none is needed.
            loopback: only this machine can reach the application.
            is_open: whether a path is for everybody.
            refuse: makes the response to a request that is not allowed.
            cookie: name and value of a cookie that stands for the token.
        """
        self._app = app
        self._token = token
        self._loopback = loopback
        self._is_open = is_open
        self._refuse = refuse
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification; web sockets are not let through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = self._refusal(scope)
            app = self._app if refusal is None else self._refuse(scope, refusal)
            await app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if self._is_open(scope["path"]):
            return None
        if self._token is None:
            is_foreign = self._loopback and not names_loopback(headers.get("host", ""))
            return "foreign_host" if is_foreign else None
        return None if self._knows(headers, self._token) else "token_needed"

    def _knows(self, headers: Headers, token: str) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return is_secret(given.strip(), token)
        if self._cookie is None:
            return False
        name, value = self._cookie
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(name)
        except CookieError:
            return False
        return morsel is not None and is_secret(morsel.value, value)
