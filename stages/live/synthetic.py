"""A camera that is not there: pictures by seed, with faults by order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError, SourceError
from icstream.stages.books import Books
from icstream.stages.items import Size
from icstream.stages.live.camera import Lost, Shot

PREFIX = "synthetic:"
_MIN_SIDE, _MAX_SIDE = 64, 4096
_SPEED = 4
"""Pixels that the picture moves by from frame to frame."""


@dataclass(frozen=True, slots=True)
class SyntheticOptions:
    """What a synthetic camera does."""

    size: Size = (240, 320)
    rate: Fraction = Fraction(10)
    """Frames per second."""
    frames: int | None = None
    """It ends after so many, over all connections; None: never."""
    seed: int = 0
    fast: bool = False
    """Frames come as fast as they are taken, and not at their own pace."""
    loss: float = 0.0
    """Share of frames that are lost."""
    jitter: float = 0.0
    """Seconds by which frames come late at most."""
    badpts: float = 0.0
    """Share of frames whose time is missing or lies before the last one."""
    stall: tuple[int, float] | None = None
    """From this frame on it is silent for so many seconds, once."""
    resize: tuple[int, Size] | None = None
    """From this frame on it has that size."""
    cut: int | None = None
    """The connection is cut after so many frames, every time."""
    offline: int = 0
    """So many attempts to connect fail at first."""


def parse_synthetic(argument: str) -> SyntheticOptions:
    """Gives what "synthetic:size=320x240,rate=10,..." asks for.

    Raises:
        ConfigError: a key that is not known, or a value that cannot be used.
    """
    values: dict[str, Any] = {}
    for assignment in filter(None, argument.removeprefix(PREFIX).split(",")):
        key, equals, text = assignment.partition("=")
        if key not in _KEYS:
            raise ConfigError(f"{argument}: no such key {key!r}; known are {', '.join(_KEYS)}")
        name, form, parse = _KEYS[key]
        try:
            if not equals:
                raise ValueError
            values[name] = parse(text)
        except (ValueError, ZeroDivisionError):
            raise ConfigError(f"{argument}: write it as {key}={form}, got {assignment!r}") from None
    return SyntheticOptions(**values)


@dataclass(slots=True)
class SyntheticScene:
    """What a synthetic camera films, and how far it has come; shared by its connections."""

    options: SyntheticOptions
    num_attempts: int = 0
    next_frame: int = 0
    _wide: dict[Size, NDArray[np.uint8]] = field(default_factory=dict)

    def render(self, number: int, size: Size) -> NDArray[np.uint8]:
        """Gives frame `number`: the same street, further along."""
        if size not in self._wide:
            from icstream.stages.streets import Street

            picture, _ = Street(self.options.seed, size=size).render(0.0)
            self._wide[size] = np.concatenate([picture, picture[:, ::-1], picture], axis=1)
        left = _SPEED * number % (2 * size[1])
        return np.ascontiguousarray(self._wide[size][:, left : left + size[1]])


class SyntheticCamera:
    """One connection to a synthetic camera.

    All is fixed by the seed and the number of the frame, whatever connection it comes over.
    """

    comes_in_bursts = False
    may_be_silent = False

    def __init__(
        self, scene: SyntheticScene, *, books: Books, wait_until: Callable[[float], None]
    ) -> None:
        """Connects.

        Args:
            scene: of the camera, shared by all connections to it.
            books: of the stream.
            wait_until: waits until so many seconds after the connection was made.

        Raises:
            SourceError: it is offline.
        """
        scene.num_attempts += 1
        if scene.num_attempts <= scene.options.offline:
            raise SourceError("synthetic camera: offline")
        self._scene = scene
        self._books = books
        self._wait_until = wait_until

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Shot | Lost | None]:
        """See `Camera.__iter__`."""
        scene, options = self._scene, self._scene.options
        first = scene.next_frame
        while options.frames is None or scene.next_frame < options.frames:
            number = scene.next_frame
            scene.next_frame += 1
            random = np.random.default_rng([options.seed, number])
            late, lost, bad = random.random(3)
            stalled = options.stall is not None and self._is_silent(number, *options.stall)
            if not options.fast:
                due = float((number - first) / options.rate)
                self._wait_until(due + late * options.jitter)
            if stalled:
                yield None
                continue
            self._books.packets += 1
            yield self._lost(number) if lost < options.loss else self._shot(number, bad)
            if options.cut is not None and number - first + 1 == options.cut:
                raise SourceError("synthetic camera: the connection was cut")

    def _is_silent(self, number: int, begin: int, seconds: float) -> bool:
        return begin <= number < begin + round(seconds * self._scene.options.rate)

    def _lost(self, number: int) -> Lost:
        self._books.undecodable["lost"] += 1
        return Lost(number, "lost")

    def _shot(self, number: int, bad: float) -> Shot:
        options = self._scene.options
        size = options.size
        if options.resize is not None and number >= options.resize[0]:
            size = options.resize[1]
        pts: int | None = number
        if bad < options.badpts:
            pts = None if number % 2 else number - 5
        return Shot(pts, 1 / options.rate, size, lambda: self._scene.render(number, size))


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


_KEYS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "size": ("size", "WIDTHxHEIGHT", _size),
    "rate": ("rate", "FRAMES_PER_SECOND", _rate),
    "frames": ("frames", "N", _positive),
    "seed": ("seed", "N", _count),
    "pace": ("fast", "real|fast", _is_fast),
    "loss": ("loss", "SHARE", _share),
    "jitter": ("jitter", "SECONDS", _seconds),
    "badpts": ("badpts", "SHARE", _share),
    "stall": ("stall", "FRAME:SECONDS", _stall),
    "resize": ("resize", "FRAME:WIDTHxHEIGHT", _resize),
    "cut": ("cut", "FRAMES", _positive),
    "offline": ("offline", "ATTEMPTS", _count),
}
"""By key: the option, how it is written, and what reads it."""
