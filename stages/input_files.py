"""Reading of untrusted files, with limits and errors that name the file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from icstream.model.errors import SampleError

MAX_FILE_BYTES = 512 * 2**20
"""The size from which files are refused before they are read."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Prefix the text of each `SampleError` from the context with a name and a colon."""
    try:
        yield
    except SampleError as error:
        raise SampleError(f"{what}: {error}") from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        SampleError: The file is missing, unreadable, or larger than `MAX_FILE_BYTES`.
    """
    try:
        if not path.is_file():
            raise SampleError(f"{path}: missing")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SampleError(f"{path}: larger than the allowed {MAX_FILE_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise SampleError(f"{path}: {error.strerror or error}") from error


_T = TypeVar("_T")


def parse_json(data: bytes | Raw, kind: type[_T]) -> _T:
    """Return JSON as a value of the given type, without fields that the type lacks.

    A byte order mark, UTF-16, and NaN and infinities as written by Python's `json` are accepted.

    Raises:
        SampleError: It is not JSON, or a field is missing or of another type.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise SampleError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        values = _by_python(bytes(data))
        if values is None:
            raise SampleError(f"not JSON: {error}") from error
    try:
        if kind in (dict[str, Any], Any):
            return msgspec.convert(values, kind)  # NaN is kept, to be written again unchanged
        return msgspec.json.decode(msgspec.json.encode(values), type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise SampleError(str(error)) from error


def _by_python(data: bytes) -> Any:
    """Return the values that Python's `json` reads, which detects the encoding, or None.

    msgspec writes numbers that are not finite as null.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
