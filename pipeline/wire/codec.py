"""Encoding of values that msgspec does not support."""

from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any


def encode_hook(value: Any) -> Any:
    """Return a value that msgspec does not support as a string."""
    if isinstance(value, (Fraction, Path)):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def decode_hook(kind: type, value: Any) -> Any:
    """Return the value that `encode_hook` turned into a string."""
    if kind in (Fraction, Path):
        return _parsed(kind, value)
    raise TypeError(f"{kind.__name__} cannot be received")


@lru_cache(maxsize=64)
def _parsed(kind: type, value: str) -> Any:
    """Parse a value with a cache, because few values occur often, above all time bases."""
    return kind(value)
