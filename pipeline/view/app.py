"""The routes of the view's server: the page, its frames and the metrics."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, TypeAlias

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from icstream.pipeline.http.pages import with_base
from icstream.pipeline.view.frame_cache import CachedFrame, FrameCache
from icstream.pipeline.view.metrics import metrics_text
from icstream.pipeline.view.status import RunStatus, StreamStatus

_WAIT_S = 2.0
"""Time in seconds after which a request for frames is answered even without frames."""
_LOST_S = 5.0
"""Time in seconds without a status after which the hub counts as failed."""
_PAGE = {
    "/": ("view.html", "text/html"),
    "/view.css": ("view.css", "text/css"),
    "/view.js": ("view.js", "text/javascript"),
    "/mask.js": ("mask.js", "text/javascript"),
}

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class FrameEvent:
    """Wakes the requests that wait for frames."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        """Event loop of the waiting requests, set by the code that runs it."""

    def notify(self) -> None:
        """Wake all waiting requests; may be called from any thread."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._wake)

    async def wait(self, timeout_s: float) -> None:
        """Return at the next notification, or after the timeout."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return

    def _wake(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()


def page_app(cache: FrameCache, new_frames: FrameEvent) -> Starlette:
    """Return the application with the page, its frames and the metrics."""
    pages = [Route(path, _page(name, kind)) for path, (name, kind) in _PAGE.items()]
    frames = Route("/frames", _frames(cache, new_frames))
    return Starlette(routes=[*pages, frames, *_monitoring(cache)])


def metrics_app(cache: FrameCache) -> Starlette:
    """Return the application with the metrics only."""
    return Starlette(routes=_monitoring(cache))


def _monitoring(cache: FrameCache) -> list[Route]:
    async def metrics(_: Request) -> Response:
        text = metrics_text(cache.status)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def status(_: Request) -> Response:
        if cache.status is None:
            return PlainTextResponse("no status yet\n", 503)
        return Response(_status_json(cache.status), media_type="application/json")

    async def healthz(_: Request) -> Response:
        lost_s = time.monotonic() - cache.status_at
        if lost_s > _LOST_S:
            return PlainTextResponse(f"no status from the hub for {lost_s:.0f} s\n", 503)
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        reason = _not_ready_reason(cache.status)
        return PlainTextResponse(f"{reason or 'ready'}\n", 503 if reason else 200)

    return [
        Route("/metrics", metrics),
        Route("/status", status),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]


def _status_json(status: RunStatus) -> bytes:
    values = msgspec.to_builtins(status)
    del values["times"]  # for /metrics; /status has percentiles instead
    return json.dumps(values).encode()


def _not_ready_reason(status: RunStatus | None) -> str | None:
    """Return why the run is not ready yet, or None if it is."""
    if status is None or not status.network.warm:
        return "the network is not warm"
    waiting = [stream.name for stream in status.streams if _may_still_come(stream)]
    if waiting or not status.streams:
        return f"not begun: {', '.join(waiting) or 'all streams'}"
    return None


def _may_still_come(stream: StreamStatus) -> bool:
    """Return whether a source has neither started nor failed to."""
    first = stream.connections == 0 and stream.last_error is None
    return stream.state == "starting" or (stream.state == "connecting" and first)


def _page(name: str, kind: str) -> Endpoint:
    content = (files("icstream.pipeline.view") / "page" / name).read_text("utf-8")

    async def page(request: Request) -> Response:
        text = with_base(content, request.scope) if kind == "text/html" else content
        return Response(text, media_type=kind)

    return page


def _frames(cache: FrameCache, new_frames: FrameEvent) -> Endpoint:
    """Return an endpoint that responds with the frames newer than those of the viewer.

    A viewer sends the next request after drawing, so a slow one misses frames and delays nothing.
    """

    async def frames(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > 18:
            return PlainTextResponse("after: must be the number of a frame\n", 400)
        streams = request.query_params.getlist("stream") or None
        deadline = time.monotonic() + _WAIT_S
        while not (found := cache.newer_than(int(after), streams)):
            cache.note_viewer(streams)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return Response(status_code=204)
            await new_frames.wait(min(left_s, 0.5))
        cache.note_viewer(streams)
        return Response(_pack(found), media_type="application/octet-stream")

    return frames


def _pack(frames: list[CachedFrame]) -> bytes:
    """Return the length of a JSON header in four bytes (big endian), the header, and the images."""
    entries: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for frame in frames:
        values = msgspec.to_builtins(frame.info)
        sizes = {"picture_bytes": len(frame.jpeg), "ids_bytes": len(frame.png)}
        entries.append({**values, **sizes, "number": frame.number})
        blobs += [frame.jpeg, frame.png]
    header = json.dumps({"frames": entries}).encode()
    return b"".join([len(header).to_bytes(4, "big"), header, *blobs])
