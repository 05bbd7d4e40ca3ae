"""Compiling the few loops over pixels that numpy cannot express."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, compiled on first use and kept on disk where that is possible."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither the package's folder nor a user's cache can be written
        return numba.njit(nogil=True)(function)
