"""Keys and colors, derived from names for reproducible results."""

import uuid

_NAMESPACE = uuid.UUID("6f0f4c0e-6a52-5d0e-9b63-0d3d0c5bb3a4")


def stable_key(*parts: object) -> str:
    """Return a key of 32 hexadecimal digits that depends only on the parts."""
    return uuid.uuid5(_NAMESPACE, "/".join(map(str, parts))).hex


def stable_color(title: str) -> str:
    """Return a color, "#RRGGBB", that depends only on the name of a class."""
    return f"#{stable_key('color', title)[:6].upper()}"
