"""What PyAV 18 and PyAV 19 do differently; everything else that uses PyAV is the same for both.

PyAV 19 has ratios of its own, which round where two of them do not fit into 32 bits, are never None
and count as false where they are unset. It reads metadata that is not UTF-8 without being asked.
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
    """Return a time base, rate or aspect ratio as PyAV gives it; None where it is unset."""
    if ratio is None or not ratio.numerator or not ratio.denominator:
        return None
    return Fraction(ratio.numerator, ratio.denominator)


def open_for_reading(file: object, **options: Any) -> InputContainer:
    """Open a container as `av.open` does, whatever the encoding of its metadata.

    Args:
        file: a name, or an object with the methods of a file.
        options: of `av.open`.

    Raises:
        FFmpegError: it cannot be opened.
    """
    container = av.open(file, "r", **_ANY_METADATA, **options)
    assert isinstance(container, InputContainer)
    return container
