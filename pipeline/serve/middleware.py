"""Middleware in front of every route: access control, headers, unread bodies, and counting."""

import time
from contextlib import ExitStack

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icstream.pipeline.http.middleware import (
    AuthMiddleware,
    HeadersMiddleware,
    PrefixMiddleware,
    Refusal,
    route_path,
)
from icstream.pipeline.serve.error_responses import V2, error_response
from icstream.pipeline.serve.errors import STATUS, RefusedError
from icstream.pipeline.serve.metrics import Metrics

_OPEN = {"/", "/page.css", "/page.js", "/icon.svg", "/docs", "/openapi.json"}
"""Paths without anything confidential; the page asks for the token itself."""
_OPEN_BELOW = ("/docs-assets/",)
PROBES = (f"{V2}/health/live", f"{V2}/health/ready")
"""Paths that are answered under any load, without a token."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TOO_SLOW = STATUS["too_slow"]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods with a counter of their own, as clients can invent any number of others."""
_HELD = "icstream.held"
_DETAILS = {
    "token_needed": "the header Authorization: Bearer TOKEN is required",
    "cross_site": "requests from pages of other sites are refused",
}


def protect(app: ASGIApp, *, metrics: Metrics, token: str | None, loopback: bool) -> ASGIApp:
    """Return the application with access control, headers for browsers, and counting.

    Args:
        app: the application.
        metrics: the metrics of the service.
        token: the token required from requests, or None for no token.
        loopback: whether only this machine can reach the application.
    """

    def is_open(path: str) -> bool:
        if path in PROBES:
            return True
        # Without a token, all other paths require the Host header to name this machine.
        return token is not None and (path in _OPEN or path.startswith(_OPEN_BELOW))

    auth = AuthMiddleware(app, token=token, loopback=loopback, is_open=is_open, refuse=_refuse)
    counted = CountingMiddleware(HeadersMiddleware(auth, _HEADERS), metrics=metrics)
    return PrefixMiddleware(counted)


def _refuse(scope: Scope, refusal: Refusal) -> Response:
    if refusal == "foreign_host":
        host = Headers(scope=scope).get("host", "")
        detail = f"host {host!r}: must name this machine, such as localhost"
    else:
        detail = _DETAILS[refusal]
    error = RefusedError(refusal, detail)
    return error_response(route_path(scope), error.status, error.kind, detail, error.headers())


def held(scope: Scope) -> ExitStack:
    """Return the resources held for a request until its response is sent."""
    stack: ExitStack = scope[_HELD]
    return stack


class CountingMiddleware:
    """Counts responses, and releases what was held for a request once its response is sent.

    HEAD is passed on as GET, whose body the server leaves out.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        """Wrap an application.

        Args:
            app: the application.
            metrics: the metrics of the service.
        """
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        method = scope["method"]
        status = 0
        asked = False
        waits = "expect" in Headers(scope=scope)

        async def receive_asked() -> Message:
            nonlocal asked
            asked = True
            return await receive()

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # A client that waits before sending its body will not send it after a refusal.
                if status == _TOO_SLOW or (waits and not asked):
                    MutableHeaders(raw=message["headers"])["Connection"] = "close"
            await send(message)

        with ExitStack() as stack:
            scope = {**scope, "method": "GET" if method == "HEAD" else method, _HELD: stack}
            try:
                await self._app(scope, receive_asked, send_counted)
            finally:
                # Not the path itself, of which clients could invent any number.
                path = getattr(scope.get("route"), "path", "other")
                counted = method if method in _METHODS else "other"
                self._metrics.count_response(counted, path, status, time.monotonic() - begun)
