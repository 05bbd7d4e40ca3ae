"""Old names that keep working, with a warning that gives the new one."""

import warnings


def warn_renamed(old: str, new: str, *, stacklevel: int = 2) -> None:
    """Warn once per place that `old` is called `new` now.

    Args:
        old: the name that was used.
        new: the name to use.
        stacklevel: 2 points at the caller of the function that calls this one.
    """
    warnings.warn(f"{old} is now {new}", FutureWarning, stacklevel=stacklevel + 1)
