"""JSON that clients send, bounded before it is decoded."""

from typing import Any

import msgspec

from icstream.pipeline.serve.errors import RefusedError

MAX_MARKS = 1_000_000
"""Commas and opening brackets, and so values, which take 100 bytes and more each."""


def check_size(data: bytes, max_bytes: int, *, what: str) -> None:
    """Let JSON, or a form of text, pass that is not too large.

    Raises:
        RefusedError: it is.
    """
    if len(data) > max_bytes:
        raise RefusedError(
            "too_large",
            f"{what}: {len(data)} bytes of text, allowed are {max_bytes} (limits.json_bytes)",
        )


def decode_object(data: bytes, max_bytes: int, *, what: str) -> dict[str, Any]:
    """Return the values of a JSON object.

    Args:
        data: UTF-8.
        max_bytes: of it.
        what: names it in errors.

    Raises:
        RefusedError: too large, too many values, or no JSON object.
    """
    check_size(data, max_bytes, what=what)
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_MARKS:
        raise RefusedError("too_large", f"{what}: more than the allowed {MAX_MARKS} values")
    try:
        values: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("bad_request", f"{what}: not a JSON object ({error})") from error
    return values
