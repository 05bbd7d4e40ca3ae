"""The view's process: a server in one thread, frames and figures in the other."""

import asyncio
import os
import socket
import threading
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from icstream.pipeline.view.app import FrameEvent, metrics_app, page_app
from icstream.pipeline.view.auth import AuthMiddleware
from icstream.pipeline.view.frame_cache import FrameCache
from icstream.pipeline.wire.connection import Stopped, WorkerConnection
from icstream.pipeline.wire.messages import Ready
from icstream.pipeline.wire.tasks import InheritedSocket, ViewTask, task_from_json

_NICENESS = 5
"""The pipeline comes first."""
_MAX_CONNECTIONS = 100
_LAST_LOOK_S = 0.2
"""So long those who look may take to hear that the run is over."""


def serve(connection: WorkerConnection) -> None:
    """Serves until the run is over."""
    task = task_from_json(ViewTask, connection.task.encode())
    with suppress(OSError):
        os.nice(_NICENESS)
    news = FrameEvent()
    gallery = FrameCache(status=task.status, frames=task.frames, rate=task.rate, on_news=news.tell)
    doors = ((page_app(gallery, news), task.page), (metrics_app(gallery), task.metrics))
    servers = [_server(app, door, task.token) for app, door in doors if door is not None]
    threading.Thread(target=_run, args=(servers, news), daemon=True).start()
    connection.link.send(Ready())
    try:
        while True:
            gallery.turn()
            connection.receive(0)
    except Stopped:
        gallery.turn()
        threading.Event().wait(_LAST_LOOK_S)
        raise


def _server(
    app: ASGIApp, door: InheritedSocket, token: str | None
) -> tuple[uvicorn.Server, socket.socket]:
    config = uvicorn.Config(
        AuthMiddleware(app, token=token, loopback=door.loopback),
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


def _run(servers: list[tuple[uvicorn.Server, socket.socket]], news: FrameEvent) -> None:
    async def run_all() -> None:
        news.loop = asyncio.get_running_loop()
        await asyncio.gather(*(server.serve([listener]) for server, listener in servers))

    asyncio.run(run_all())
