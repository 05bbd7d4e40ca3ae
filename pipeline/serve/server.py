"""The HTTP server of a service, from loading to the last response."""

import logging
import math
import threading
import warnings
from collections.abc import Callable

from PIL import Image

from icstream.pipeline.http.connections import Connections
from icstream.pipeline.http.server import make_server
from icstream.pipeline.serve.app import build_app
from icstream.pipeline.serve.listen import find_endpoint, open_listener, read_token
from icstream.pipeline.serve.middleware import PROBES
from icstream.pipeline.serve.service import Service
from icstream.pipeline.settings.serve import LimitSettings, ServeConfig

log = logging.getLogger(__name__)

_POLL_S = 0.1
_LAST_S = 3.0
"""Time in seconds for threads to end that have nothing left to do."""


def run_service(config: ServeConfig, *, should_stop: Callable[[], bool]) -> bool:
    """Serve until stopped, and then finish requests in progress.

    Args:
        config: all settings.
        should_stop: a function called several times per second; the service stops when it returns
            True.

    Returns:
        False if a thread has not ended within `limits.stop_s`.

    Raises:
        ConfigError: weights, device, token or address cannot be used.
    """
    # Otherwise Pillow only warns about images beyond its limit.
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    endpoint = find_endpoint(config.server)
    token = read_token(config.server, loopback=endpoint.loopback)
    service = Service(config)
    listener = open_listener(config.server, endpoint)
    app = build_app(service, token=token, loopback=listener.loopback)
    limits = config.limits
    with listener.socket:
        server = make_server(app, _connections(limits), stop_s=math.ceil(limits.stop_s))
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
        serving.join(limits.stop_s + _LAST_S)
    ended = service.close(_LAST_S)
    if service.failure is not None:
        raise service.failure
    if not ended:
        log.warning(
            "some requests were aborted, as they had not finished within %g s", limits.stop_s
        )
    return ended


def _connections(limits: LimitSettings) -> Connections:
    return Connections(
        max_requests=limits.connections, send_s=limits.send_s, is_probe=PROBES.__contains__
    )
