"""The HTTP server of a service: from loading to the last answer."""

import asyncio
import logging
import math
import threading
import warnings
from collections.abc import Callable

import uvicorn
from PIL import Image
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from icstream.pipeline.serve.app import build_app
from icstream.pipeline.serve.listen import find_endpoint, open_listener, read_token
from icstream.pipeline.serve.service import Service
from icstream.pipeline.settings.serve import LimitSettings, ServeConfig

log = logging.getLogger(__name__)

_POLL_S = 0.1
_HEADERS_S = 10.0
"""For the headers of a request, from its first byte or the connection's beginning on."""


class _Protocol(H11Protocol):
    """Closes connections whose client does not finish the headers of a request.

    uvicorn has no setting for this. Its protocol classes are not part of its public interface, so
    pyproject.toml allows only versions that this class was tested with.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._timer is None and self._waits():
            self._timer = self.loop.call_later(_HEADERS_S, self._hang_up)

    def _waits(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _hang_up(self) -> None:
        self._timer = None
        if self._waits() and not self.transport.is_closing():
            self.transport.close()


def run_service(config: ServeConfig, *, should_stop: Callable[[], bool]) -> None:
    """Serve until stopped, and then finish what is under way.

    Args:
        config: all settings.
        should_stop: called several times a second.

    Raises:
        ConfigError: weights, device, token or address cannot be used.
    """
    # Pillow would let images pass with a warning that its limit forbids.
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    endpoint = find_endpoint(config.server)
    token = read_token(config.server, loopback=endpoint.loopback)
    service = Service(config)
    listener = open_listener(config.server, endpoint)
    app = build_app(service, token=token, loopback=listener.loopback)
    with listener.socket:
        server = uvicorn.Server(_uvicorn_config(app, config.limits))
        loading = threading.Thread(target=service.start, name="loading", daemon=True)
        serving = threading.Thread(
            target=server.run, kwargs={"sockets": [listener.socket]}, name="http", daemon=True
        )
        loading.start()
        serving.start()
        log.info("listening on %s", listener.url)
        while serving.is_alive() and service.failure is None and not should_stop():
            serving.join(_POLL_S)
        service.stopping.set()
        server.should_exit = True
        serving.join()
    service.close()
    if service.failure is not None:
        raise service.failure


def _uvicorn_config(app: ASGIApp, limits: LimitSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=math.ceil(limits.stop_s),
    )
