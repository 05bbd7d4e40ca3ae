"""What every live source offers: one connection at a time, and what comes over it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from icstream.stages.items import Size

MAX_AHEAD_S = 2.0
"""How far the time of a camera may run ahead of the arrival of its frames from one to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """A decoded frame; it becomes RGB only once it is known to be wanted."""

    pts: int | None
    """Time that the source gives, in units of `time_base`; None where it gives none."""
    time_base: Fraction
    """Seconds per unit of `pts`."""
    size: Size
    """Height and width as displayed."""
    to_rgb: Callable[[], NDArray[np.uint8]]
    """Function that returns (H, W, 3) RGB, which the caller owns."""
    pixel_aspect: Fraction | None = None
    """See `FrameMeta`."""


@dataclass(frozen=True, slots=True)
class LostFrame:
    """A frame that should have come and cannot be used; the camera has counted it."""

    pts: int | None
    """Time that the source gives, if any."""
    reason: str
    """A few fixed words, under which the frame is counted."""


@dataclass(frozen=True, slots=True)
class AwaitsKeyFrame:
    """A sign of life: packets come, and none can be used until the next key frame."""


class Camera(Protocol):
    """One connection to a live source; to be used as a context manager and read once.

    It keeps its side of the accounting: `packets`, `in_decoder`, `undecodable`, `without_frame`.
    When it is left, nothing is `in_decoder`.

    Attributes:
        comes_in_bursts: frames come faster than they were filmed, and then none for a while.
        may_be_silent: a lack of frames is no reason to connect again.
        max_ahead_s: how far its time may run ahead of arrivals from one frame to the next; None if
            its times hold whenever its frames come.
    """

    comes_in_bursts: bool
    may_be_silent: bool
    max_ahead_s: float | None

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | AwaitsKeyFrame | None]:
        """Return frames as they come, and None for signs of life without a frame.

        It ends where the source is at its end for good.

        Raises:
            SourceError: the connection is lost.
        """
        ...
