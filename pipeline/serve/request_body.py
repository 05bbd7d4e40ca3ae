"""Request bodies, read with limits on size, time and memory."""

import asyncio
import time
from contextlib import aclosing

from starlette.requests import Request

from icstream.pipeline.http.numbers import read_number
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.service import Service

_GRACE_S = 10.0
_SLOWEST = 4096
"""Slowest accepted rate in bytes per second, after the grace period."""
_RESERVED = 2**20
"""Size in bytes of the pieces in which memory is reserved for arriving data."""


async def read_body(request: Request, service: Service) -> bytes:
    """Return the whole body, whose memory is reserved until the response is sent.

    Raises:
        RefusedError: it is too large or too slow, or not enough memory is available.
    """
    limits = service.config.limits
    length = read_number(request.headers.get("content-length", ""))
    if length is not None and length > limits.body_bytes:
        raise RefusedError("too_large", f"{length} bytes exceed the allowed {limits.body_bytes}")
    body = bytearray()
    reserved = 0
    begun = time.monotonic()
    clock = asyncio.get_running_loop()
    try:
        async with (
            asyncio.timeout(min(limits.receive_s, _GRACE_S)) as timer,
            aclosing(request.stream()) as chunks,
        ):
            async for chunk in chunks:
                if len(body) + len(chunk) > limits.body_bytes:
                    raise RefusedError(
                        "too_large", f"more than the allowed {limits.body_bytes} bytes"
                    )
                while len(body) + len(chunk) > reserved:
                    service.hold(request, _RESERVED, what="the request's body")
                    reserved += _RESERVED
                body += chunk
                allowed_s = min(limits.receive_s, _GRACE_S + len(body) / _SLOWEST)
                timer.reschedule(clock.time() + begun + allowed_s - time.monotonic())
    except TimeoutError as error:
        raise RefusedError(
            "too_slow",
            f"only {len(body)} bytes arrived within {time.monotonic() - begun:.0f} s; the limits"
            f" are {limits.receive_s:g} s (limits.receive_s), and {_GRACE_S:g} s without progress",
        ) from error
    return bytes(body)


def media_type(request: Request) -> str:
    """Return the body's type without parameters, in lower case, or empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
