"""Percentiles of durations in constant memory."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

_STEP = math.log(1.02)
"""The logarithm of the width of a bin, 2 %, so that percentiles are exact to 1 %."""


class Latency:
    """A histogram of durations.

    Attributes:
        sum_s: The sum of all durations.
    """

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Add one duration."""
        self._bins[round(math.log(max(seconds, 1e-9)) / _STEP)] += 1
        self.sum_s += max(seconds, 0.0)

    def merge(self, other: "Latency") -> None:
        """Add all durations of `other`."""
        self._bins.update(other._bins)
        self.sum_s += other.sum_s

    @property
    def count(self) -> int:
        """The number of durations."""
        return self._bins.total()

    def copy(self) -> "Latency":
        """Return a copy that later durations do not change."""
        copy = Latency()
        copy.merge(self)
        return copy

    def since(self, earlier: "Latency") -> "Latency":
        """Return the durations added since `earlier` was copied from this."""
        later = Latency()
        later._bins = self._bins - earlier._bins
        later.sum_s = self.sum_s - earlier.sum_s
        return later

    def histogram(self, bounds_s: Sequence[float]) -> list[int]:
        """Return the number of durations up to each of the ascending bounds."""
        counts = [0] * (len(bounds_s) + 1)
        for position, count in self._bins.items():
            counts[bisect_left(bounds_s, math.exp(position * _STEP))] += count
        return list(accumulate(counts[:-1]))

    def percentile_ms(self, percent: float) -> float:
        """Return the duration, in milliseconds, that `percent` of all do not exceed.

        Raises:
            ValueError: There are no durations yet.
        """
        needed = self._bins.total() * percent / 100
        reached = 0
        for position in sorted(self._bins):
            reached += self._bins[position]
            if reached >= needed:
                return math.exp(position * _STEP) * 1e3
        raise ValueError("no durations were counted")

    def summary(self) -> dict[str, float]:
        """Return p50, p95 and p99 in milliseconds; empty without durations."""
        if not self._bins:
            return {}
        return {f"p{p}": round(self.percentile_ms(p), 3) for p in (50, 95, 99)}
