"""Percentiles against numpy's, over ten thousand durations of very different length."""

import numpy as np
import pytest

from icstream.pipeline.latency import Latency


def test_percentiles_are_right_to_within_two_percent() -> None:
    durations = np.random.default_rng(0).lognormal(-4, 1.5, 10_000)
    latency = Latency()
    for duration in durations:
        latency.add(float(duration))
    for percent in (50, 95, 99):
        expected_ms = np.percentile(durations, percent) * 1e3
        assert latency.percentile_ms(percent) == pytest.approx(expected_ms, rel=0.02)


def test_merging_counts_both() -> None:
    first, second = Latency(), Latency()
    first.add(0.001)
    second.add(1.0)
    first.merge(second)
    assert first.percentile_ms(50) == pytest.approx(1, rel=0.02)
    assert first.percentile_ms(100) == pytest.approx(1000, rel=0.02)


def test_nothing_counted_gives_no_figures() -> None:
    assert Latency().summary() == {}
    with pytest.raises(ValueError, match="no durations"):
        Latency().percentile_ms(50)
