"""JSON from clients, with limits checked before it is decoded."""

from typing import Any

import msgspec

from icstream.pipeline.serve.errors import RefusedError

MAX_MARKS = 1_000_000
"""Most commas and opening brackets, and so values, each of which takes 100 bytes or more."""


def check_size(data: bytes, max_bytes: int, *, what: str) -> None:
    """Check that JSON, or a form of text, is not too large.

    Raises:
        RefusedError: it is too large.
    """
    if len(data) > max_bytes:
        raise RefusedError(
            "too_large",
            f"{what}: {len(data)} bytes of text exceed the allowed {max_bytes} (limits.json_bytes)",
        )


def decode_object(data: bytes, max_bytes: int, *, what: str) -> dict[str, Any]:
    """Return the values of a JSON object.

    Args:
        data: the JSON, in UTF-8.
        max_bytes: the most bytes of it.
        what: its name in errors.

    Raises:
        RefusedError: it is too large, has too many values, or is not a JSON object.
    """
    check_size(data, max_bytes, what=what)
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_MARKS:
        raise RefusedError("too_large", f"{what}: more than the allowed {MAX_MARKS} values")
    try:
        values: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("bad_request", f"{what}: not a JSON object ({error})") from error
    return values
