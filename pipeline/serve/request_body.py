"""Request bodies, read with limits on size and time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.settings.serve import LimitSettings

_MAX_PARTS = 16
FORM = "multipart/form-data"
_URL_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


async def read_body(request: Request, limits: LimitSettings) -> bytes:
    """Return the whole body.

    Raises:
        RefusedError: too large, or too slow.
    """
    limit = limits.body_bytes
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise RefusedError("too_large", f"{length} bytes are more than the allowed {limit}")
    body = bytearray()
    try:
        async with asyncio.timeout(limits.receive_s), aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                if len(body) + len(chunk) > limit:
                    raise RefusedError("too_large", f"more than the allowed {limit} bytes")
                body += chunk
    except TimeoutError as error:
        raise RefusedError(
            "too_slow", f"the request had not arrived after {limits.receive_s:g} s"
        ) from error
    return bytes(body)


def media_type(request: Request) -> str:
    """Return the body's type without parameters, in lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_form(request: Request, limits: LimitSettings) -> dict[str, bytes]:
    """Return the content of each field by its name, whether it came as field or as file.

    A JSON object is a form too: strings are taken as they are, other values as their JSON.

    Raises:
        RefusedError: too large, too slow, or no form.
    """
    kind = media_type(request)
    if kind not in (FORM, _URL_FORM, _JSON, ""):
        raise RefusedError("unsupported", f"content type {kind}: {FORM} is needed")
    body = await read_body(request, limits)
    if kind == FORM:
        return await _parts(request, body, limits.body_bytes)
    if kind == _JSON:
        return _members(body)
    try:
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_PARTS)
    except ValueError as error:
        raise RefusedError("bad_request", f"form: {error}") from error
    return {name.decode(errors="replace"): value for name, value in pairs}


async def _parts(request: Request, body: bytes, max_part_bytes: int) -> dict[str, bytes]:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers,
        once(),
        max_files=_MAX_PARTS,
        max_fields=_MAX_PARTS,
        max_part_size=max_part_bytes,
    )
    parser.spool_max_size = len(body) + 1  # it is in memory already; no file is needed
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RefusedError("bad_request", f"form: {error.message}") from error
    try:
        return {
            name: await value.read() if isinstance(value, UploadFile) else value.encode()
            for name, value in form.multi_items()
        }
    finally:
        await form.close()


def _members(body: bytes) -> dict[str, bytes]:
    try:
        values = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return {name: _text(raw) for name, raw in values.items()}
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefusedError("bad_request", f"body: not a JSON object ({error})") from error


def _text(raw: msgspec.Raw) -> bytes:
    value = bytes(raw)
    return msgspec.json.decode(value, type=str).encode() if value.startswith(b'"') else value
