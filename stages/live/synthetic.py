"""A synthetic camera: seeded frames and injected errors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from icstream.model import SourceError
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.synthetic_spec import SyntheticOptions
from icstream.stages.items import Size
from icstream.stages.live.camera import MAX_AHEAD_S, LiveFrame, LostFrame

_SPEED = 4
"""The pixels by which the image moves from frame to frame."""


@dataclass(slots=True)
class SyntheticScene:
    """The scene of a synthetic camera and its progress, shared by its connections."""

    options: SyntheticOptions
    num_attempts: int = 0
    next_frame: int = 0
    _wide: dict[Size, NDArray[np.uint8]] = field(default_factory=dict)

    def render(self, number: int, size: Size) -> NDArray[np.uint8]:
        """Return the (H, W, 3) RGB of frame `number`: the same street, further along."""
        if size not in self._wide:
            from icstream.stages.streets import Street

            image, _ = Street(self.options.seed, size=size).render(0.0)
            self._wide[size] = np.concatenate([image, image[:, ::-1], image], axis=1)
        left = _SPEED * number % (2 * size[1])
        return np.ascontiguousarray(self._wide[size][:, left : left + size[1]])


class SyntheticCamera:
    """One connection to a synthetic camera.

    Each frame depends only on the seed and its number, not on the connection.
    """

    comes_in_bursts = False
    may_be_silent = False

    def __init__(
        self,
        scene: SyntheticScene,
        *,
        accounting: FrameAccounting,
        wait_until: Callable[[float], None],
    ) -> None:
        """Connect.

        Args:
            scene: The camera's scene, shared by all connections.
            accounting: The counters of the stream.
            wait_until: A function that waits until a number of seconds after the connection.

        Raises:
            SourceError: The camera is offline.
        """
        scene.num_attempts += 1
        if scene.num_attempts <= scene.options.offline:
            raise SourceError("synthetic camera: offline")
        self._scene = scene
        self._accounting = accounting
        self._wait_until = wait_until
        self.max_ahead_s = None if scene.options.fast else MAX_AHEAD_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | None]:
        """Implement `Camera.__iter__`."""
        scene, options = self._scene, self._scene.options
        first = scene.next_frame
        scene.render(first, options.size)  # rendered now, so that the first frame does not age
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
            self._accounting.packets += 1
            yield self._lost(number) if lost < options.loss else self._frame(number, bad)
            if options.cut is not None and number - first + 1 == options.cut:
                raise SourceError("synthetic camera: the connection was closed")

    def _is_silent(self, number: int, begin: int, seconds: float) -> bool:
        return begin <= number < begin + round(seconds * self._scene.options.rate)

    def _lost(self, number: int) -> LostFrame:
        self._accounting.undecodable["lost"] += 1
        return LostFrame(number, "lost")

    def _frame(self, number: int, bad: float) -> LiveFrame:
        options = self._scene.options
        size = options.size
        if options.resize is not None and number >= options.resize[0]:
            size = options.resize[1]
        pts: int | None = number
        if bad < options.badpts:
            pts = None if number % 2 else number - 5
        return LiveFrame(pts, 1 / options.rate, size, lambda: self._scene.render(number, size))
