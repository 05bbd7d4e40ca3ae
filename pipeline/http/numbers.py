"""Numbers in headers and addresses."""

_MOST_DIGITS = 18


def read_number(text: str) -> int | None:
    """Return the number that a text of ASCII digits is; None for other texts, and huge numbers.

    Python's `isdigit` is true for characters that `int` does not read.
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None
