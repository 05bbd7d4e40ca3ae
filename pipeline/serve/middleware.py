"""What stands before every route: who may ask, headers, refused bodies, and counting."""

import asyncio
import time
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icstream.pipeline.http.middleware import AuthMiddleware, HeadersMiddleware, Refusal
from icstream.pipeline.serve.error_responses import V2, error_response
from icstream.pipeline.serve.errors import STATUS, RefusedError
from icstream.pipeline.serve.metrics import Metrics

_OPEN = {"/", "/page.css", "/page.js", "/icon.svg", "/docs", "/openapi.json"}
"""These hold nothing that is not in the documentation; the page asks for the token itself."""
_OPEN_BELOW = (f"{V2}/health/", "/docs-assets/")
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_DRAIN_S = 5.0
_TOO_SLOW = STATUS["too_slow"]


def protect(
    app: ASGIApp, *, metrics: Metrics, token: str | None, loopback: bool, max_drained: int
) -> ASGIApp:
    """Return the application with access control, headers for browsers, and counting.

    Args:
        app: the application.
        metrics: of the service.
        token: the token that requests must contain; None: none is needed.
        loopback: only this machine can reach the application.
        max_drained: bytes of a body that are read although nobody needs them, as many clients
            listen only after they have sent everything.
    """

    def is_open(path: str) -> bool:
        # Without a token, the name by which this machine is called counts for all paths.
        return token is not None and (path in _OPEN or path.startswith(_OPEN_BELOW))

    auth = AuthMiddleware(app, token=token, loopback=loopback, is_open=is_open, refuse=_refuse)
    with_headers = HeadersMiddleware(auth, _HEADERS)
    return CountingMiddleware(with_headers, metrics=metrics, max_drained=max_drained)


def _refuse(scope: Scope, refusal: Refusal) -> Response:
    if refusal == "foreign_host":
        host = Headers(scope=scope).get("host", "")
        detail = f"host {host!r}: only localhost is served"
    else:
        detail = "the header Authorization: Bearer TOKEN is needed"
    error = RefusedError(refusal, detail)
    return error_response(scope["path"], error.status, error.kind, str(error), error.headers())


class CountingMiddleware:
    """Counts answers, and closes connections whose request was not read to its end."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_drained: int) -> None:
        """Make the middleware before an application.

        Args:
            app: the application.
            metrics: of the service.
            max_drained: bytes of a body that are read although nobody needs them.
        """
        self._app = app
        self._metrics = metrics
        self._max_drained = max_drained

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._max_drained)
        begun = time.monotonic()
        status = 0

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status == _TOO_SLOW or not await body.drained():
                    MutableHeaders(raw=message["headers"])["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, body.receive, send_counted)
        finally:
            # Not the path itself: clients could then make any number of counters.
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.count_response(scope["method"], path, status, time.monotonic() - begun)


class _Body:
    """How much of a request has been read."""

    def __init__(self, receive: Receive, max_drained: int) -> None:
        self._receive = receive
        self._max_drained = max_drained
        self._complete = False

    async def receive(self) -> Message:
        """See the ASGI specification."""
        message = await self._receive()
        if not message.get("more_body", False):
            self._complete = True
        return message

    async def drained(self) -> bool:
        """Read what is left, within limits; True if nothing is left."""
        num_bytes = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while not self._complete and num_bytes <= self._max_drained:
                    num_bytes += len((await self.receive()).get("body", b""))
        return self._complete
