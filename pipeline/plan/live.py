"""What is fixed of a stream before it begins: how fresh it must be, and how its source is kept."""

import random
from dataclasses import dataclass, field

from icstream.stages.live.options import CameraOptions


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream treats frames that nobody has time for."""

    freshest: bool = False
    """The newest frame goes first, and older ones that nobody works on are dropped; else every
    frame waits for its turn."""
    max_age_s: float = 0.5
    """freshest: a frame that is older, and that nobody works on, is dropped."""
    duration_s: float | None = None
    """The stream ends after so long; None: with its source."""
    stall_s: float = 2.0
    """A live source without an image for so long counts as stalled."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a source is connected again."""

    first_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 30.0

    def delay_s(self, num_failures: int, dice: random.Random) -> float:
        """Gives the wait after so many failures in a row: between half and all of what is due.

        Many sources that were lost together so do not all come back at one moment.
        """
        # Beyond the cap the power may be too large for a float.
        num_steps = min(num_failures - 1, 64)
        return min(self.cap_s, self.first_s * self.factor**num_steps) * dice.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class LivePlan:
    """How a live source is read."""

    options: CameraOptions = field(default_factory=CameraOptions)
    pace: Pace = field(default_factory=Pace)
    max_fps: float | None = None
    backoff: Backoff = field(default_factory=Backoff)
