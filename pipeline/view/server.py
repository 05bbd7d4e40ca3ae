"""The view's process: a server in one thread, pictures and figures in the other."""

import asyncio
import os
import socket
import threading
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from icstream.pipeline.view.app import News, metrics_app, page_app
from icstream.pipeline.view.auth import Guard
from icstream.pipeline.view.frame_cache import Gallery
from icstream.pipeline.wire.connection import Post, Stopped
from icstream.pipeline.wire.messages import Ready
from icstream.pipeline.wire.tasks import Door, ViewTask, task_from_json

_NICENESS = 5
"""The pipeline comes first."""
_MAX_CONNECTIONS = 100
_LAST_LOOK_S = 0.2
"""So long those who look may take to hear that the run is over."""


def serve(post: Post) -> None:
    """Serves until the run is over."""
    task = task_from_json(ViewTask, post.task.encode())
    with suppress(OSError):
        os.nice(_NICENESS)
    news = News()
    gallery = Gallery(status=task.status, pictures=task.pictures, rate=task.rate, on_news=news.tell)
    doors = ((page_app(gallery, news), task.page), (metrics_app(gallery), task.metrics))
    servers = [_server(app, door, task.token) for app, door in doors if door is not None]
    threading.Thread(target=_run, args=(servers, news), daemon=True).start()
    post.link.send(Ready())
    try:
        while True:
            gallery.turn()
            post.receive(0)
    except Stopped:
        gallery.turn()
        threading.Event().wait(_LAST_LOOK_S)
        raise


def _server(app: ASGIApp, door: Door, token: str | None) -> tuple[uvicorn.Server, socket.socket]:
    config = uvicorn.Config(
        Guard(app, token=token, loopback=door.loopback),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
    )
    return uvicorn.Server(config), socket.socket(fileno=door.fd)


def _run(servers: list[tuple[uvicorn.Server, socket.socket]], news: News) -> None:
    async def run_all() -> None:
        news.loop = asyncio.get_running_loop()
        await asyncio.gather(*(server.serve([listener]) for server, listener in servers))

    asyncio.run(run_all())
