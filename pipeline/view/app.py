"""What the view's server answers."""

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

from icstream.pipeline.view.frame_cache import CachedFrame, FrameCache
from icstream.pipeline.view.metrics import metrics_text
from icstream.pipeline.view.status import RunStatus, StreamStatus

_WAIT_S = 2.0
"""A request for frames is answered after so long, if only to say that there are none."""
_LOST_S = 5.0
"""If the hub has told nothing for so long, something is wrong with it."""
_PAGE = {
    "/": ("view.html", "text/html"),
    "/view.css": ("view.css", "text/css"),
    "/view.js": ("view.js", "text/javascript"),
    "/mask.js": ("mask.js", "text/javascript"),
}

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class FrameEvent:
    """Wakes those who wait for frames."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        """In which they wait; set by whoever runs it."""

    def tell(self) -> None:
        """Wakes everybody; may be called from any thread."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._wake)

    async def wait(self, timeout_s: float) -> None:
        """Waits for news, up to a deadline."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return

    def _wake(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()


def page_app(gallery: FrameCache, news: FrameEvent) -> Starlette:
    """Gives the page, what it asks for, and the figures."""
    pages = [Route(path, _page(name, kind)) for path, (name, kind) in _PAGE.items()]
    return Starlette(routes=[*pages, Route("/frames", _frames(gallery, news)), *_figures(gallery)])


def metrics_app(gallery: FrameCache) -> Starlette:
    """Gives the figures alone."""
    return Starlette(routes=_figures(gallery))


def _figures(gallery: FrameCache) -> list[Route]:
    async def metrics(_: Request) -> Response:
        text = metrics_text(gallery.status)
        return Response(text, media_type="text/plain; version=0.0.4")

    async def status(_: Request) -> Response:
        if gallery.status is None:
            return PlainTextResponse("not yet\n", 503)
        return Response(_status_json(gallery.status), media_type="application/json")

    async def alive(_: Request) -> Response:
        lost_s = time.monotonic() - gallery.status_at
        if lost_s > _LOST_S:
            return PlainTextResponse(f"the hub has been silent for {lost_s:.0f} s\n", 503)
        return PlainTextResponse("alive\n")

    async def ready(_: Request) -> Response:
        wanting = _wanting(gallery.status)
        return PlainTextResponse(f"{wanting or 'ready'}\n", 503 if wanting else 200)

    return [
        Route("/metrics", metrics),
        Route("/status", status),
        Route("/healthz", alive),
        Route("/readyz", ready),
    ]


def _status_json(status: RunStatus) -> bytes:
    values = msgspec.to_builtins(status)
    del values["times"]  # for /metrics; whoever reads this wants the percentiles
    return json.dumps(values).encode()


def _wanting(status: RunStatus | None) -> str | None:
    """Gives what the run is not ready for yet; None if it is."""
    if status is None or not status.network.warm:
        return "the network is not warm"
    waiting = [stream.name for stream in status.streams if _may_still_come(stream)]
    if waiting or not status.streams:
        return f"not begun: {', '.join(waiting) or 'all streams'}"
    return None


def _may_still_come(stream: StreamStatus) -> bool:
    """True if a source has neither begun nor failed to."""
    first = stream.connections == 0 and stream.last_error is None
    return stream.state == "starting" or (stream.state == "connecting" and first)


def _page(name: str, kind: str) -> Endpoint:
    content = (files("icstream.pipeline.view") / "page" / name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(content, media_type=kind)

    return page


def _frames(gallery: FrameCache, news: FrameEvent) -> Endpoint:
    """Gives an endpoint that answers with what is newer than what the viewer has.

    It asks again when it has drawn that, so a slow one misses frames, and nothing waits for it.
    """

    async def frames(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > 18:
            return PlainTextResponse("after: the number of an image\n", 400)
        streams = request.query_params.getlist("stream") or None
        deadline = time.monotonic() + _WAIT_S
        while not (found := gallery.newer_than(int(after), streams)):
            gallery.look(streams)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return Response(status_code=204)
            await news.wait(min(left_s, 0.5))
        gallery.look(streams)
        return Response(_pack(found), media_type="application/octet-stream")

    return frames


def _pack(frames: list[CachedFrame]) -> bytes:
    """Gives the length of a JSON header in four bytes, high byte first, the header, the images."""
    entries: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for image in frames:
        values = msgspec.to_builtins(image.exhibit)
        sizes = {"picture_bytes": len(image.jpeg), "ids_bytes": len(image.png)}
        entries.append({**values, **sizes, "number": image.number})
        blobs += [image.jpeg, image.png]
    header = json.dumps({"frames": entries}).encode()
    return b"".join([len(header).to_bytes(4, "big"), header, *blobs])
