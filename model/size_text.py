"""Sizes as they are written on the command line and in settings."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""
Order: TypeAlias = Literal["WIDTHxHEIGHT", "HEIGHTxWIDTH"]

SIZE_SCHEMA: Final[Mapping[str, str]] = {"format": "WIDTHxHEIGHT", "pattern": "^[0-9]+[xX][0-9]+$"}
"""JSON schema of the text of a size, beside its type."""

_EXAMPLES = {"WIDTHxHEIGHT": "1280x720", "HEIGHTxWIDTH": "720x1280"}


def parse_size(text: str, *, order: Order = "WIDTHxHEIGHT") -> Size:
    """Return the (height, width) that a text gives.

    Args:
        text: what was written.
        order: of the text; only old names of settings have the height first.

    Raises:
        ValueError: the text is not in that form.
    """
    first, cross, second = text.lower().partition("x")
    if not (cross and first.isdigit() and second.isdigit()):
        raise ValueError(f"a size is {order}, for example {_EXAMPLES[order]}")
    if order == "HEIGHTxWIDTH":
        return int(first), int(second)
    return int(second), int(first)


def parse_any_size(value: Any, *, order: Order = "WIDTHxHEIGHT") -> Any:
    """Return the (height, width) that a text gives, and any other value as it is."""
    return parse_size(value, order=order) if isinstance(value, str) else value
