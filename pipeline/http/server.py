"""The configuration of uvicorn for the view and the service."""

import logging
import time
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from icstream.pipeline.http.connections import KEEP_ALIVE_S, Connections

_QUIET_S = 60.0


class RepeatFilter(logging.Filter):
    """Limits messages of each kind to one per period, and adds the number of suppressed ones.

    The kind is the text without its arguments, so that clients cannot create new kinds.
    """

    def __init__(self, every_s: float = _QUIET_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._next: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged."""
        kind = record.name, str(record.msg)
        now = time.monotonic()
        if now < self._next.get(kind, 0.0):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        self._next[kind] = now + self._every_s
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            record.msg, record.args = (
                f"{record.getMessage()} (and {left_out} more times before)",
                (),
            )
        return True


def make_server(app: ASGIApp, connections: Connections, *, stop_s: int | None) -> uvicorn.Server:
    """Return a server that still needs its sockets.

    Args:
        app: the application.
        connections: the limits of the server's connections.
        stop_s: the seconds to finish requests when the server stops, or None for no limit.
    """
    for name in ("uvicorn.error", "icstream.pipeline.http.connections"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, RepeatFilter) for one in logger.filters):
            logger.addFilter(RepeatFilter())
    config = uvicorn.Config(
        app,
        http=cast("Any", connections.protocol),
        interface="asgi3",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=round(KEEP_ALIVE_S),
        timeout_graceful_shutdown=stop_s,
    )
    return uvicorn.Server(config)
