"""Percentiles of durations in constant memory."""

import math
from collections import Counter

_STEP = math.log(1.02)
"""Durations are kept in bins 2 % wide, so a percentile is right to within 1 %."""


class Latency:
    """Counts durations and tells their percentiles."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        self._bins[round(math.log(max(seconds, 1e-9)) / _STEP)] += 1

    def merge(self, other: "Latency") -> None:
        """Counts all that `other` has counted."""
        self._bins.update(other._bins)

    def percentile_ms(self, percent: float) -> float:
        """Gives the duration in milliseconds that `percent` of all do not exceed.

        Raises:
            ValueError: nothing was counted yet.
        """
        needed = self._bins.total() * percent / 100
        reached = 0
        for position in sorted(self._bins):
            reached += self._bins[position]
            if reached >= needed:
                return math.exp(position * _STEP) * 1e3
        raise ValueError("no durations were counted")

    def summary(self) -> dict[str, float]:
        """Gives p50, p95 and p99 in milliseconds; empty if nothing was counted."""
        if not self._bins:
            return {}
        return {f"p{p}": round(self.percentile_ms(p), 3) for p in (50, 95, 99)}
