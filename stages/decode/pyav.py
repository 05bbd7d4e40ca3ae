"""The differences between PyAV 18 and 19, of which all other code is independent.

PyAV 19 has its own ratios, which round where two of them do not fit into 32 bits, are never None
and are false if unset. It reads metadata that is not UTF-8 by default.
"""

from fractions import Fraction
from typing import Any, Protocol

import av
from av.container import InputContainer

_IS_18 = int(av.__version__.partition(".")[0]) < 19
_ANY_METADATA: dict[str, Any] = {"metadata_errors": "replace"} if _IS_18 else {}


class _Ratio(Protocol):
    """A `Fraction` of PyAV 18, or an `AVRational` of PyAV 19."""

    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...


def exact_ratio(ratio: _Ratio | None) -> Fraction | None:
    """Return the exact time base, rate or aspect ratio of PyAV, or None if it is unset."""
    if ratio is None or not ratio.numerator or not ratio.denominator:
        return None
    return Fraction(ratio.numerator, ratio.denominator)


def open_for_reading(file: object, **options: Any) -> InputContainer:
    """Open a container as `av.open` does, whatever the encoding of its metadata.

    Args:
        file: A name, or an object with the methods of a file.
        options: The options of `av.open`.

    Raises:
        FFmpegError: The file cannot be opened.
    """
    container = av.open(file, "r", **_ANY_METADATA, **options)
    assert isinstance(container, InputContainer)
    return container
