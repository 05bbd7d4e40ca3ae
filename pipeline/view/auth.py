"""Who may look: those who know the token, or without one, this machine under its own name."""

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icstream.pipeline.http.access import is_secret, names_loopback

_OPEN = ("/healthz", "/readyz")
"""These tell nothing, and whoever asks for them may have no way to show a token."""
_COOKIE = "icstream_view"
_MAX_LOGIN_BYTES = 4096

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none';"
        " base-uri 'none'; form-action 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_LOGIN = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>icstream</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/view.css">
<main class="login"><h1>icstream</h1>
<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Look in</button>
<p role="alert">{complaint}</p>
</form></main></html>"""


class AuthMiddleware:
    """Lets requests through to an application that may pass, and answers the others."""

    def __init__(self, app: ASGIApp, *, token: str | None, loopback: bool) -> None:
        """Stands before an application.

        Args:
            app: the application.
            token: what readers must know; None: nothing.
            loopback: only this machine can reach the application.
        """
        self._app = app
        self._token = token
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        app = self._app if answer is None else answer
        await app(scope, receive, _with_headers(send))

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """Gives what a request gets that may not pass; None if it may."""
        headers, path = Headers(scope=scope), scope["path"]
        if path in _OPEN or path == "/view.css":
            return None
        if self._token is None:
            if self._loopback and not names_loopback(headers.get("host", "")):
                return PlainTextResponse("only localhost may ask here\n", 403)
            return None
        if path == "/login" and scope["method"] == "POST":
            return await self._log_in(Request(scope, receive))
        if self._knows_token(headers):
            return None
        if path == "/":
            return HTMLResponse(_LOGIN.format(complaint=""), 401)
        return PlainTextResponse("a token is needed\n", 401, {"WWW-Authenticate": "Bearer"})

    async def _log_in(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_LOGIN_BYTES:
                return PlainTextResponse("too long\n", 413)
        form = parse_qs(body.decode(errors="replace"))
        if not is_secret(form.get("token", [""])[0], self._token or ""):
            return HTMLResponse(_LOGIN.format(complaint="That is not the token."), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(_COOKIE, self._cookie(), httponly=True, samesite="strict")
        return answer

    def _knows_token(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return is_secret(token.strip(), self._token or "")
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return morsel is not None and is_secret(morsel.value, self._cookie())

    def _cookie(self) -> str:
        """Gives what a browser keeps in place of the token."""
        token = (self._token or "").encode()
        return hmac.new(token, b"icstream view", hashlib.sha256).hexdigest()


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
