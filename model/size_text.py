"""Parsing of sizes on the command line and in settings."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

Size: TypeAlias = tuple[int, int]
"""A (height, width) in pixels."""
Order: TypeAlias = Literal["WIDTHxHEIGHT", "HEIGHTxWIDTH"]

SIZE_SCHEMA: Final[Mapping[str, str]] = {"format": "WIDTHxHEIGHT", "pattern": "^[0-9]+[xX][0-9]+$"}
"""JSON schema of the text of a size, beside its type."""

_EXAMPLES = {"WIDTHxHEIGHT": "1280x720", "HEIGHTxWIDTH": "720x1280"}


def parse_size(text: str, *, order: Order = "WIDTHxHEIGHT") -> Size:
    """Return the (height, width) that a text states.

    Args:
        text: The text to parse.
        order: The order of the numbers; only deprecated settings have the height first.

    Raises:
        ValueError: The text does not have this form.
    """
    first, cross, second = text.lower().partition("x")
    if not (cross and first.isdigit() and second.isdigit()):
        raise ValueError(f"a size must be {order}, for example {_EXAMPLES[order]}")
    if order == "HEIGHTxWIDTH":
        return int(first), int(second)
    return int(second), int(first)


def parse_any_size(value: Any, *, order: Order = "WIDTHxHEIGHT") -> Any:
    """Return the (height, width) that a text states, and any other value unchanged."""
    return parse_size(value, order=order) if isinstance(value, str) else value
