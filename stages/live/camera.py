"""The interface of live sources, one connection at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from icstream.stages.items import Size

MAX_AHEAD_S = 2.0
"""The largest lead of a camera's time over the arrival of its frames, from one frame to the
next."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """A decoded frame, which is converted to RGB only if it is needed."""

    pts: int | None
    """The source's time in units of `time_base`; None without one."""
    time_base: Fraction
    """The seconds per unit of `pts`."""
    size: Size
    """The (height, width) as displayed."""
    to_rgb: Callable[[], NDArray[np.uint8]]
    """The function that returns (H, W, 3) RGB, which the caller owns."""
    pixel_aspect: Fraction | None = None
    """The width of a pixel divided by its height, as in `FrameMeta`."""


@dataclass(frozen=True, slots=True)
class LostFrame:
    """A frame that is missing or unusable, and has been counted by the camera."""

    pts: int | None
    """The source's time, if any."""
    reason: str
    """The fixed phrase under which the frame is counted."""


@dataclass(frozen=True, slots=True)
class AwaitsKeyFrame:
    """A sign of life: packets arrive, but none can be used until the next key frame."""


class Camera(Protocol):
    """One connection to a live source, used as a context manager and read once.

    The camera updates `packets`, `in_decoder`, `undecodable` and `without_frame` of the accounting.
    After the context, `in_decoder` is 0.

    Attributes:
        comes_in_bursts: Whether frames arrive faster than real time, with pauses in between.
        may_be_silent: Whether a lack of frames is no reason to reconnect.
        max_ahead_s: The largest lead of its time over arrivals from one frame to the next; None if
            its times hold regardless of arrivals.
    """

    comes_in_bursts: bool
    may_be_silent: bool
    max_ahead_s: float | None

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | AwaitsKeyFrame | None]:
        """Yield frames as they arrive, and None for signs of life without a frame.

        The iterator ends where the source ends for good.

        Raises:
            SourceError: The connection was lost.
        """
        ...
