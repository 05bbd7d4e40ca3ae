"""What "synthetic:size=320x240,rate=10,..." asks of a synthetic camera."""

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
    """How a synthetic camera behaves."""

    size: Size = (240, 320)
    """Height and width of its frames."""
    rate: Fraction = Fraction(10)
    """Frames per second."""
    frames: int | None = None
    """Number of frames over all connections; None goes on for ever."""
    seed: int = 0
    """Number that fixes what is seen and what goes wrong."""
    fast: bool = False
    """True if frames come as fast as they are taken, and not at their own pace."""
    loss: float = 0.0
    """Share of frames that are lost."""
    jitter: float = 0.0
    """Seconds by which frames come late at most."""
    badpts: float = 0.0
    """Share of frames whose time is missing or lies before the last one."""
    stall: tuple[int, float] | None = None
    """Number of a frame, and the seconds for which the camera is silent from there."""
    resize: tuple[int, Size] | None = None
    """Number of a frame, and the size of the frames from there."""
    cut: int | None = None
    """Number of frames after which each connection is cut."""
    offline: int = 0
    """Number of attempts to connect that fail at first."""


def parse_synthetic(argument: str) -> SyntheticOptions:
    """Return what "synthetic:size=320x240,rate=10,..." asks for.

    Raises:
        ConfigError: a key that is not known, or a value that cannot be used.
    """
    values: dict[str, Any] = {}
    for assignment in filter(None, argument.removeprefix(PREFIX).split(",")):
        key, equals, text = assignment.partition("=")
        if key not in _KEYS:
            raise ConfigError(f"{argument}: no such key {key!r}; known are {', '.join(_KEYS)}")
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
"""The option, how it is written, what is allowed, and what reads it, by key."""
