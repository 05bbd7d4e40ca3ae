"""Reading files that somebody else made: limits, and errors that name the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

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

    Raises:
        SampleError: it is no JSON, or something in it is missing or of another kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise SampleError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SampleError(f"no JSON: {error}") from error
