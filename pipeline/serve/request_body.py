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
"""Bytes per second; whoever is slower after the grace holds a connection and sends nothing."""
_RESERVED = 2**20
"""Memory is reserved in such pieces, for bytes that have arrived."""


async def read_body(request: Request, service: Service) -> bytes:
    """Return the whole body, whose memory is reserved until the answer is sent.

    Raises:
        RefusedError: too large, too slow, or not enough memory is free.
    """
    limits = service.config.limits
    length = read_number(request.headers.get("content-length", ""))
    if length is not None and length > limits.body_bytes:
        raise RefusedError(
            "too_large", f"{length} bytes are more than the allowed {limits.body_bytes}"
        )
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
            f"{len(body)} bytes had arrived after {time.monotonic() - begun:.0f} s; allowed are"
            f" {limits.receive_s:g} s (limits.receive_s), and {_GRACE_S:g} s without progress",
        ) from error
    return bytes(body)


def media_type(request: Request) -> str:
    """Return the body's type without parameters, in lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
