"""Deprecated names, which keep working with a warning that states the new one."""

import functools
import inspect
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TextIO, TypeVar

log = logging.getLogger(__name__)

Class = TypeVar("Class")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class RenamedWarning(FutureWarning):
    """A deprecated name was used."""


def warn_renamed(old: str, new: str, *, stacklevel: int = 2) -> None:
    """Warn once per call site that `old` is now called `new`.

    Args:
        old: The deprecated name.
        new: The name to use.
        stacklevel: The frame to blame; 2 is the caller of the function that calls this one.
    """
    warnings.warn(f"{old} is now {new}", RenamedWarning, stacklevel=stacklevel + 1)


def warn_renamed_in(cls: type, old: str, new: str) -> None:
    """Warn that a class of another package uses the deprecated attribute `old`."""
    text = f"{cls.__name__}.{old} is now {new}"
    try:
        file, line = inspect.getfile(cls), inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):  # created without a file
        file, line = cls.__module__, 1
    warnings.warn_explicit(text, RenamedWarning, file, line)


def renamed_fields(**names: str) -> Callable[[type[Class]], type[Class]]:
    """Return a class decorator that keeps old names of fields as attributes and arguments.

    Args:
        names: The new name of each old one.
    """

    def decorate(cls: type[Class]) -> type[Class]:
        setattr(cls, "__init__", renamed_arguments(**names)(cls.__init__))  # noqa: B010
        for old, new in names.items():
            setattr(cls, old, _old_attribute(f"{cls.__name__}.{old}", new))
        return cls

    return decorate


def renamed_arguments(
    **names: str,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Return a function decorator that keeps old names of keyword arguments.

    Args:
        names: The new name of each old one.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            if kwargs and not names.keys().isdisjoint(kwargs):
                _rename(kwargs, names)
            return function(*args, **kwargs)

        return call

    return decorate


def log_renamed() -> None:
    """Log each use of a deprecated name once, in one line, instead of printing a warning."""
    _once.logged.clear()
    show = warnings.showwarning

    def log_or_show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, RenamedWarning):
            log.warning("%s (%s:%d)", message, Path(filename).name, lineno)
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = log_or_show


def _old_attribute(old: str, new: str) -> property:
    def read(self: Any) -> Any:
        warn_renamed(old, new)
        return getattr(self, new)

    return property(read)


def _rename(arguments: dict[str, Any], names: Mapping[str, str]) -> None:
    for old in names.keys() & arguments.keys():
        warn_renamed(f"argument {old}", names[old], stacklevel=3)
        arguments[names[old]] = arguments.pop(old)


class _OncePerName(logging.Filter):
    """A filter of log records that passes each deprecated name once."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        name, _, _ = record.getMessage().partition(" (")
        is_new = name not in self.logged
        self.logged.add(name)
        return is_new


_once = _OncePerName()
log.addFilter(_once)
