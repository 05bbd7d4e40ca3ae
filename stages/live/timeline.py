"""The times of a live stream over all its connections, and the limit of its frame rate."""

import math
from collections import deque
from fractions import Fraction
from typing import Literal

ARRIVAL_BASE = Fraction(1, 1_000_000)
"""The seconds per unit of arrival times."""

_TOLERANCE_S = Fraction(2)
"""The deviation, in seconds, from which a clock counts as restarted."""
_MAX_FAULTS = 3
"""The number of jumps within `_FAULTS_WITHIN_S` above which a connection's times are unusable."""
_FAULTS_WITHIN_S = 60.0


class Timeline:
    """A monotonic time, composed of the times of successive connections.

    The source's own times are kept as long as they increase, and are not far ahead of the frames'
    arrival. Where they restart or jump, they are shifted to continue from the last frame by the
    time between the two arrivals; where they return from a jump, the earlier shift is restored.
    Where they are unusable, they are replaced by the time of arrival since the first frame.

    Attributes:
        clock: The origin of the last frame's time.
    """

    def __init__(self, last: tuple[Fraction, float] | None = None) -> None:
        """Begin, or continue after a frame.

        Args:
            last: The time of the last frame and its arrival, in seconds.
        """
        self.clock: Literal["pts", "arrival"] = "pts"
        self._first = last
        """The time and arrival of the frame from which elapsed time is counted."""
        self._last: Fraction | None = None
        self._last_arrived = 0.0
        self._offset = Fraction(0)
        self._earlier_offset: Fraction | None = None
        """The offset before the last jump."""
        self._faults: deque[float] = deque()
        """The arrivals of recent jumps."""
        self._is_unusable = False
        self._begins = True
        self._has_clock = False
        """Whether the connection has provided times."""
        if last is not None:
            self._last, self._last_arrived = last

    def begin_connection(self) -> None:
        """Record that the next frame is the first of a connection."""
        self._begins = True
        self._has_clock = self._is_unusable = False
        self._faults.clear()
        self._earlier_offset = None

    def place(
        self,
        pts: int | None,
        time_base: Fraction,
        arrived: float,
        *,
        max_ahead_s: float | None = None,
    ) -> tuple[int, Fraction, str | None]:
        """Return the time of a frame, its unit, and the anomaly of time before it, if any.

        Args:
            pts: The source's time.
            time_base: The seconds per unit of `pts`.
            arrived: The arrival of the frame, in seconds of a monotonic clock.
            max_ahead_s: The largest lead of time over arrivals from one frame to the next; None if
                the source's times hold regardless of arrivals.
        """
        change = None
        if pts is not None and not self._begins and not self._is_unusable:
            change = self._check(pts * time_base, arrived, max_ahead_s)
        elif pts is not None and self._begins:
            self._begin(pts * time_base, arrived)
        self.clock = "pts"
        if self._is_unusable or (pts is None and not self._has_clock):
            self.clock = "arrival"
            unit, own = ARRIVAL_BASE, math.ceil(self._expected(arrived) / ARRIVAL_BASE)
        elif pts is None:  # one frame without a time among others with one
            unit, own = time_base, math.ceil(self._expected(arrived) / time_base)
        else:
            self._has_clock = True
            unit, own = time_base, math.ceil((pts * time_base + self._offset) / time_base)
        if self._last is not None:
            own = max(own, math.floor(self._last / unit) + 1)
        self._begins = False
        self._last, self._last_arrived = own * unit, arrived
        self._first = self._first or (self._last, arrived)
        return own, unit, change

    def _begin(self, time: Fraction, arrived: float) -> None:
        """Decide whether a connection's clock continues that of the last one."""
        if self._last is None:
            return
        for offset in (Fraction(0), self._offset):
            if self._fits(time + offset, arrived):
                self._offset = offset
                return
        # Relative to the very first frame rather than the last, so that delays at the beginning of
        # connections do not add up.
        self._offset = max(self._last, self._expected_since_first(arrived)) - time

    def _check(self, time: Fraction, arrived: float, max_ahead_s: float | None) -> str | None:
        """Correct the clock after a jump, and return the anomaly, if any."""
        if self._last is None:
            return None
        placed = time + self._offset
        # Delayed frames may catch up with the arrivals.
        due = max(self._expected(arrived), self._expected_since_first(arrived))
        if placed <= self._last:
            change = "time runs backwards"
        elif max_ahead_s is not None and placed - due > max_ahead_s:
            change = "time jumps ahead"
        else:
            return None
        earlier, self._earlier_offset = self._earlier_offset, self._offset
        if earlier is not None and self._fits(time + earlier, arrived):
            self._offset = earlier
            return change
        self._faults.append(arrived)
        while arrived - self._faults[0] > _FAULTS_WITHIN_S:
            self._faults.popleft()
        if len(self._faults) > _MAX_FAULTS:
            self._is_unusable = True
            return "times are of no use: those of arrival from here"
        self._offset = self._expected(arrived) - time
        return change

    def _fits(self, time: Fraction, arrived: float) -> bool:
        """Return whether a time advances from the last frame as the arrivals do."""
        assert self._last is not None
        return self._last < time and abs(time - self._expected(arrived)) <= _TOLERANCE_S

    def _expected(self, arrived: float) -> Fraction:
        """Return the last time plus the time elapsed since that frame's arrival."""
        return _moved_on(self._last, self._last_arrived, arrived)

    def _expected_since_first(self, arrived: float) -> Fraction:
        """Return the first time plus the time elapsed since that frame's arrival."""
        return Fraction(0) if self._first is None else _moved_on(*self._first, arrived)


def _moved_on(time: Fraction | None, then: float, now: float) -> Fraction:
    if time is None:
        return Fraction(0)
    return time + Fraction(round(1e6 * (now - then)), 1_000_000)


class RateLimit:
    """A limit that keeps the first frame in each cell of a grid on the time axis.

    Which frames are kept thus depends only on their times.
    """

    def __init__(self, max_fps: float | None, *, last: Fraction | None = None) -> None:
        """Lay the grid on the time axis.

        Args:
            max_fps: The cells per second; None keeps every frame.
            last: The time of the last frame that was kept, in seconds.
        """
        self._max_fps = None if max_fps is None else Fraction(str(max_fps))
        self._cell = None if last is None else self._cell_of(last)

    def keeps(self, time: Fraction) -> bool:
        """Return whether the frame at a time, in seconds, is kept."""
        cell = self._cell_of(time)
        if cell is not None and cell == self._cell:
            return False
        self._cell = cell
        return True

    def _cell_of(self, time: Fraction) -> int | None:
        return None if self._max_fps is None else math.floor(time * self._max_fps)
