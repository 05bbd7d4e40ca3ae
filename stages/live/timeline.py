"""The times of a live stream, over all its connections; and which frames a rate limit keeps."""

import math
from fractions import Fraction
from typing import Literal

ARRIVAL_BASE = Fraction(1, 1_000_000)
"""Seconds per unit of times that are those of arrival."""

_TOLERANCE_S = Fraction(2)
"""A clock that is this far from where it should be has begun anew."""
_MAX_FAULTS = 3
"""A connection whose time ran backwards more often has unusable timestamps."""


class Timeline:
    """One time that only increases, made of the times of one connection after another.

    The source's own times are kept as long as they increase. Where they begin anew, they are
    shifted so that they go on from the last frame by as much as passed between the two arrivals.
    Where they are unusable, the moment of arrival since the first frame takes their place.

    Attributes:
        clock: where the time of the last frame is from.
    """

    def __init__(self, last: tuple[Fraction, float] | None = None) -> None:
        """Begin, or go on behind a frame.

        Args:
            last: time of the last frame in seconds, and when it arrived.
        """
        self.clock: Literal["pts", "arrival"] = "pts"
        self._last: Fraction | None = None
        self._last_arrived = 0.0
        self._offset = Fraction(0)
        self._num_faults = 0
        self._begins = True
        self._has_clock = False
        """True if the connection has given times."""
        if last is not None:
            self._last, self._last_arrived = last

    def begin_connection(self) -> None:
        """Note that the next frame is the first of a connection."""
        self._begins = True
        self._has_clock = False
        self._num_faults = 0

    def place(
        self, pts: int | None, time_base: Fraction, arrived: float
    ) -> tuple[int, Fraction, str | None]:
        """Return the time of a frame, its unit, and what happened to time before it, if anything.

        Args:
            pts: as the source gives it.
            time_base: seconds per unit of `pts`.
            arrived: when the frame came, in seconds by a clock that only increases.
        """
        change = None
        if pts is not None and not self._begins and self._num_faults <= _MAX_FAULTS:
            change = self._check(pts * time_base, arrived)
        elif pts is not None and self._begins:
            self._begin(pts * time_base, arrived)
        self.clock = "pts"
        if self._num_faults > _MAX_FAULTS or (pts is None and not self._has_clock):
            self.clock = "arrival"
            unit, own = ARRIVAL_BASE, math.ceil(self._expected(arrived) / ARRIVAL_BASE)
        elif pts is None:  # one frame without a time among others that have theirs
            unit, own = time_base, math.ceil(self._expected(arrived) / time_base)
        else:
            self._has_clock = True
            unit, own = time_base, math.ceil((pts * time_base + self._offset) / time_base)
        if self._last is not None:
            own = max(own, math.floor(self._last / unit) + 1)
        self._begins = False
        self._last, self._last_arrived = own * unit, arrived
        return own, unit, change

    def _begin(self, time: Fraction, arrived: float) -> None:
        """Decide whether a connection's clock goes on where the last one's was."""
        if self._last is None:
            return
        expected = self._expected(arrived)
        for offset in (Fraction(0), self._offset):
            if self._last < time + offset and abs(time + offset - expected) <= _TOLERANCE_S:
                self._offset = offset
                return
        self._offset = expected - time

    def _check(self, time: Fraction, arrived: float) -> str | None:
        if self._last is None or time + self._offset > self._last:
            return None
        self._num_faults += 1
        if self._num_faults > _MAX_FAULTS:
            return "times are of no use: those of arrival from here"
        self._offset = self._expected(arrived) - time
        return "time runs backwards"

    def _expected(self, arrived: float) -> Fraction:
        """Return the last time, moved on by what has passed since that frame arrived."""
        if self._last is None:
            return Fraction(0)
        return self._last + Fraction(round(1e6 * (arrived - self._last_arrived)), 1_000_000)


class RateLimit:
    """A limit that keeps the first frame in each cell of a grid on the time axis.

    Which frames are kept so depends on their times alone.
    """

    def __init__(self, max_fps: float | None, *, last: Fraction | None = None) -> None:
        """Lay the grid on the time axis.

        Args:
            max_fps: cells per second; None keeps every frame.
            last: time of the last frame that was kept, in seconds.
        """
        self._max_fps = None if max_fps is None else Fraction(str(max_fps))
        self._cell = None if last is None else self._cell_of(last)

    def keeps(self, time: Fraction) -> bool:
        """Return whether the frame at this time, in seconds, is kept."""
        cell = self._cell_of(time)
        if cell is not None and cell == self._cell:
            return False
        self._cell = cell
        return True

    def _cell_of(self, time: Fraction) -> int | None:
        return None if self._max_fps is None else math.floor(time * self._max_fps)
