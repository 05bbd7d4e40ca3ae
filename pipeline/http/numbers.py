"""Numbers in headers and addresses."""

_MOST_DIGITS = 18


def read_number(text: str) -> int | None:
    """Return the number that a text of ASCII digits represents, or None for other texts.

    Huge numbers give None too. Python's `isdigit` is true for characters that `int` rejects.
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None
