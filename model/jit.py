"""Compiling the few loops over pixels that numpy cannot express."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles on first use, and keeps the result on disk where there is a place for it."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither the package's folder nor a user's cache can be written
        return numba.njit(nogil=True)(function)
