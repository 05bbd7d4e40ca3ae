"""Access control of the view: a login with the token, and headers for browsers."""

import asyncio
import hashlib
import hmac
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from icstream.pipeline.http.access import is_secret
from icstream.pipeline.http.middleware import (
    AuthMiddleware,
    HeadersMiddleware,
    PrefixMiddleware,
    Refusal,
    route_path,
)
from icstream.pipeline.http.numbers import read_number
from icstream.pipeline.http.pages import with_base

PROBES = ("/healthz", "/readyz")
"""Paths that are answered under any load, without a token."""
_OPEN = (*PROBES, "/view.css")
"""Paths without secrets: probes may have no token, and the login page needs its style sheet."""
_COOKIE = "icstream_view"
_MAX_LOGIN_BYTES = 4096
_LOGIN_S = 10.0
_REFUSED = {
    "foreign_host": "the Host header must name this machine, such as localhost\n",
    "cross_site": "requests from pages of other sites are refused\n",
}

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none';"
        " base-uri 'self'; form-action 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_LOGIN = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>icstream</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="view.css">
<main class="login"><h1>icstream</h1>
<form method="post" action="login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button>
<p role="alert">{error}</p>
</form></main></html>"""


def protect(app: ASGIApp, *, token: str | None, loopback: bool) -> ASGIApp:
    """Return the application behind a login and with headers for browsers.

    Args:
        app: the application.
        token: the token required from viewers, or None for no token.
        loopback: whether only this machine can reach the application.
    """
    protected: ASGIApp = AuthMiddleware(
        app,
        token=token,
        loopback=loopback,
        is_open=_OPEN.__contains__,
        refuse=_refuse,
        cookie=None if token is None else (_COOKIE, _cookie_value(token)),
    )
    if token is not None:
        protected = _Login(protected, token)
    return HeadersMiddleware(PrefixMiddleware(protected), _HEADERS)


def _refuse(scope: Scope, refusal: Refusal) -> Response:
    if refusal != "token_needed":
        return PlainTextResponse(_REFUSED[refusal], 403)
    if route_path(scope) == "/":
        return HTMLResponse(_login_page(scope), 401)
    return PlainTextResponse("a token is required\n", 401, {"WWW-Authenticate": "Bearer"})


class _Login:
    """Exchanges the token, sent by a form, for a cookie."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_login = scope["type"] == "http" and route_path(scope) == "/login"
        app = self._app
        if is_login and scope["method"] == "POST":
            app = await self._log_in(Request(scope, receive))
        await app(scope, receive, send)

    async def _log_in(self, request: Request) -> Response:
        length = read_number(request.headers.get("content-length", "0"))
        if (
            length is None or length > _MAX_LOGIN_BYTES
        ):  # the body is not read, so the connection cannot continue
            return PlainTextResponse("too long\n", 413, {"Connection": "close"})
        body = b""
        try:
            async with asyncio.timeout(_LOGIN_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > _MAX_LOGIN_BYTES:
                        return PlainTextResponse("too long\n", 413)
        except TimeoutError:
            return PlainTextResponse("too slow\n", 408, {"Connection": "close"})
        form = parse_qs(body.decode(errors="replace"))
        if not is_secret(form.get("token", [""])[0], self._token):
            return HTMLResponse(_login_page(request.scope, "Wrong token."), 401)
        response = RedirectResponse("./", 303)
        # Without a path, browsers limit it to the path of this login, excluding neighbors behind a
        # proxy.
        response.set_cookie(
            _COOKIE, _cookie_value(self._token), httponly=True, samesite="strict", path=None
        )
        return response


def _login_page(scope: Scope, error: str = "") -> str:
    return with_base(_LOGIN, scope).format(error=error)


def _cookie_value(token: str) -> str:
    """Return the value that a browser keeps instead of the token."""
    return hmac.new(token.encode(), b"icstream view", hashlib.sha256).hexdigest()
