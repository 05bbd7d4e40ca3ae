"""Parsing of the options in "synthetic:size=320x240,rate=10,..."."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from icstream.model import ConfigError
from icstream.stages.items import Size

PREFIX = "synthetic:"
_MIN_SIDE, _MAX_SIDE = 64, 4096


@dataclass(frozen=True, slots=True)
class SyntheticOptions:
    """The options of a synthetic camera."""

    size: Size = (240, 320)
    """The (height, width) of frames."""
    rate: Fraction = Fraction(10)
    """The frames per second."""
    frames: int | None = None
    """The number of frames over all connections; None for no end."""
    seed: int = 0
    """The seed of images and faults."""
    fast: bool = False
    """Whether frames arrive as fast as they are read instead of at `rate`."""
    loss: float = 0.0
    """The share of frames that are lost."""
    jitter: float = 0.0
    """The largest delay of frames, in seconds."""
    badpts: float = 0.0
    """The share of frames whose time is missing or goes backwards."""
    stall: tuple[int, float] | None = None
    """The number of a frame, and the seconds without frames from there."""
    resize: tuple[int, Size] | None = None
    """The number of a frame, and the size of frames from there."""
    cut: int | None = None
    """The number of frames after which each connection is closed."""
    offline: int = 0
    """The number of initial attempts to connect that fail."""


def parse_synthetic(argument: str) -> SyntheticOptions:
    """Return the options in "synthetic:size=320x240,rate=10,...".

    Raises:
        ConfigError: A key is unknown, or a value invalid.
    """
    values: dict[str, Any] = {}
    for assignment in filter(None, argument.removeprefix(PREFIX).split(",")):
        key, equals, text = assignment.partition("=")
        if key not in _KEYS:
            raise ConfigError(f"{argument}: no such key {key!r}; allowed are {', '.join(_KEYS)}")
        name, form, allowed, parse = _KEYS[key]
        try:
            if not equals:
                raise ValueError
            values[name] = parse(text)
        except (ValueError, ZeroDivisionError):
            raise ConfigError(
                f"{argument}: write it as {key}={form}, got {assignment!r}; allowed are {allowed}"
            ) from None
    return SyntheticOptions(**values)


def _size(text: str) -> Size:
    width, height = (int(side) for side in text.split("x"))
    if not (_MIN_SIDE <= width <= _MAX_SIDE and _MIN_SIDE <= height <= _MAX_SIDE):
        raise ValueError
    return height, width


def _rate(text: str) -> Fraction:
    if (rate := Fraction(text)) <= 0:
        raise ValueError
    return rate


def _count(text: str) -> int:
    if (count := int(text)) < 0:
        raise ValueError
    return count


def _positive(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError
    return count


def _share(text: str) -> float:
    if not 0 <= (share := float(text)) <= 1:
        raise ValueError
    return share


def _seconds(text: str) -> float:
    if not 0 <= (seconds := float(text)) < 3600:
        raise ValueError
    return seconds


def _stall(text: str) -> tuple[int, float]:
    begin, _, seconds = text.partition(":")
    return _count(begin), _seconds(seconds)


def _resize(text: str) -> tuple[int, Size]:
    begin, _, size = text.partition(":")
    return _count(begin), _size(size)


def _is_fast(text: str) -> bool:
    return ("real", "fast").index(text) == 1


_SIDES = f"sides of {_MIN_SIDE} to {_MAX_SIDE} pixels"
_KEYS: dict[str, tuple[str, str, str, Callable[[str], Any]]] = {
    "size": ("size", "WIDTHxHEIGHT", _SIDES, _size),
    "rate": ("rate", "FRAMES_PER_SECOND", "numbers and fractions above 0", _rate),
    "frames": ("frames", "N", "whole numbers from 1", _positive),
    "seed": ("seed", "N", "whole numbers from 0", _count),
    "pace": ("fast", "real|fast", "these two", _is_fast),
    "loss": ("loss", "SHARE", "0 to 1", _share),
    "jitter": ("jitter", "SECONDS", "0 to less than 3600", _seconds),
    "badpts": ("badpts", "SHARE", "0 to 1", _share),
    "stall": ("stall", "FRAME:SECONDS", "frames from 0, less than 3600 seconds", _stall),
    "resize": ("resize", "FRAME:WIDTHxHEIGHT", f"frames from 0, {_SIDES}", _resize),
    "cut": ("cut", "FRAMES", "whole numbers from 1", _positive),
    "offline": ("offline", "ATTEMPTS", "whole numbers from 0", _count),
}
"""The option, form, allowed values and parser of each key."""
