"""The view's process, with the web server in one thread and frames and status in another."""

import asyncio
import os
import socket
import threading
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from icstream.pipeline.http.connections import Connections
from icstream.pipeline.http.server import make_server
from icstream.pipeline.view.app import FrameEvent, metrics_app, page_app
from icstream.pipeline.view.auth import PROBES, protect
from icstream.pipeline.view.frame_cache import FrameCache
from icstream.pipeline.wire.connection import Stopped, WorkerConnection
from icstream.pipeline.wire.messages import Ready
from icstream.pipeline.wire.tasks import InheritedSocket, ViewTask, task_from_json

_NICENESS = 5
"""Niceness of the process, so that the pipeline has priority."""
_MAX_REQUESTS = 100
_SEND_S = 30.0
"""Longest time, in seconds, for a viewer to receive frames."""
_LAST_STATUS_S = 0.2
"""Time in seconds for pages to fetch the last status, which marks the end of the run."""


def serve_view(connection: WorkerConnection) -> None:
    """Serve the page and the metrics until the run ends."""
    task = task_from_json(ViewTask, connection.task.encode())
    with suppress(OSError):
        os.nice(_NICENESS)
    new_frames = FrameEvent()
    cache = FrameCache(
        status=task.status, frames=task.frames, rate=task.rate, on_frames=new_frames.notify
    )
    apps = ((page_app(cache, new_frames), task.page), (metrics_app(cache), task.metrics))
    servers = [
        _make_server(app, listener, task.token) for app, listener in apps if listener is not None
    ]
    threading.Thread(target=_run, args=(servers, new_frames), daemon=True).start()
    connection.link.send(Ready())
    try:
        while True:
            cache.update()
            connection.receive(0)
    except Stopped:
        cache.update()
        threading.Event().wait(_LAST_STATUS_S)
        raise


def _make_server(
    app: ASGIApp, listener: InheritedSocket, token: str | None
) -> tuple[uvicorn.Server, socket.socket]:
    protected = protect(app, token=token, loopback=listener.loopback)
    connections = Connections(
        max_requests=_MAX_REQUESTS, send_s=_SEND_S, is_probe=PROBES.__contains__
    )
    return make_server(protected, connections, stop_s=None), socket.socket(fileno=listener.fd)


def _run(servers: list[tuple[uvicorn.Server, socket.socket]], new_frames: FrameEvent) -> None:
    async def run_all() -> None:
        new_frames.loop = asyncio.get_running_loop()
        await asyncio.gather(*(server.serve([listener]) for server, listener in servers))

    asyncio.run(run_all())
