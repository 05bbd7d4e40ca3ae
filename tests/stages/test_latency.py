"""Percentiles against numpy's, over ten thousand durations of very different length."""

import numpy as np
import pytest

from icstream.stages.latency import Latency


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


def test_a_histogram_counts_what_does_not_exceed_each_bound() -> None:
    latency = Latency()
    for milliseconds in (2, 2, 30, 400, 9000):
        latency.add(milliseconds / 1000)
    assert latency.histogram((0.001, 0.01, 0.1, 1.0)) == [0, 2, 3, 4]
    assert latency.count == 5
    assert latency.sum_s == pytest.approx(9.434)


def test_durations_since_an_earlier_copy_are_counted_apart() -> None:
    latency = Latency()
    latency.add(1.0)
    before = latency.copy()
    latency.add(0.001)
    assert latency.since(before).count == 1
    assert latency.since(before).percentile_ms(50) == pytest.approx(1, rel=0.02)
    assert before.count == 1
