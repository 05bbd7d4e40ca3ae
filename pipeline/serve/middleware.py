"""What stands before every route: the token, headers for browsers, refused bodies, the counting."""

import asyncio
import time
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icstream.pipeline.http.access import is_secret, names_loopback
from icstream.pipeline.serve.error_responses import V2, answer
from icstream.pipeline.serve.errors import STATUS, RefusedError
from icstream.pipeline.serve.metrics import Metrics

_OPEN = {"/", "/page.css", "/page.js", "/icon.svg", "/docs", "/openapi.json"}
"""These tell nothing that is not in the documentation; the page asks for the token itself."""
_OPEN_BELOW = (f"{V2}/health/", "/docs-assets/")
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_DRAIN_S = 5.0
_TOO_SLOW = STATUS["too_slow"]


class ServiceMiddleware:
    """Lets requests through to an application that may pass, and answers the others."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        token: str | None,
        loopback: bool,
        max_drained: int,
    ) -> None:
        """Stands before an application.

        Args:
            app: the application.
            metrics: of the service.
            token: what clients must know; None: nothing.
            loopback: only this machine can reach the application.
            max_drained: so many bytes of a body that nobody wants are read all the same, as many
                clients listen only after they have sent everything.
        """
        self._app = app
        self._metrics = metrics
        self._token = token
        self._loopback = loopback
        self._max_drained = max_drained

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._max_drained)
        begun = time.monotonic()
        status = 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if status == _TOO_SLOW or not await body.drained():
                    headers["Connection"] = "close"
            await send(message)

        try:
            self._check(scope)
        except RefusedError as error:
            refusal = answer(scope["path"], error.status, error.kind, str(error), error.headers())
            await refusal(scope, body.receive, send_guarded)
        else:
            await self._app(scope, body.receive, send_guarded)
        finally:
            # Not the path itself: there would be as many counters as somebody thinks up.
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.answered(scope["method"], path, status, time.monotonic() - begun)

    def _check(self, scope: Scope) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        if self._token is None:
            host = headers.get("host", "")
            if self._loopback and not names_loopback(host):
                raise RefusedError("foreign_host", f"host {host!r}: only localhost is served")
            return
        if path in _OPEN or path.startswith(_OPEN_BELOW):
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not is_secret(given.strip(), self._token):
            raise RefusedError("token_needed", "the header Authorization: Bearer TOKEN is needed")


class _Body:
    """Knows how much of a request has been read."""

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
        """Reads what is left, within limits; True if nothing is left."""
        num_bytes = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while not self._complete and num_bytes <= self._max_drained:
                    num_bytes += len((await self.receive()).get("body", b""))
        return self._complete
