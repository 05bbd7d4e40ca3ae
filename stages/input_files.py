"""Reading files that somebody else made: limits, and errors that name the file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from icstream.model.errors import SampleError

MAX_FILE_BYTES = 512 * 2**20
"""Larger files are refused before they are read."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Put a name and a colon before the text of each `SampleError` that comes out."""
    try:
        yield
    except SampleError as error:
        raise SampleError(f"{what}: {error}") from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        SampleError: it is missing, unreadable, or larger than `MAX_FILE_BYTES`.
    """
    try:
        if not path.is_file():
            raise SampleError(f"{path}: missing")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SampleError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB, which is allowed")
        return path.read_bytes()
    except OSError as error:
        raise SampleError(f"{path}: {error.strerror or error}") from error


_T = TypeVar("_T")


def parse_json(data: bytes | Raw, kind: type[_T]) -> _T:
    """Return JSON as a value of the given kind, without the fields that the kind does not have.

    A byte order mark, UTF-16 and numbers like NaN, which Python's `json` writes, are read too.

    Raises:
        SampleError: it is no JSON, or something in it is missing or of another kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise SampleError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        values = _by_python(bytes(data))
        if values is None:
            raise SampleError(f"no JSON: {error}") from error
    try:
        if kind in (dict[str, Any], Any):
            return msgspec.convert(values, kind)  # NaN stays, to be written again as it was
        return msgspec.json.decode(msgspec.json.encode(values), type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise SampleError(str(error)) from error


def _by_python(data: bytes) -> Any:
    """Return the values that Python's `json` reads, which finds out the encoding; None: it fails.

    Numbers that are not finite become null where msgspec writes them.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
