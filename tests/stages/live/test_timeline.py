"""Times of live streams over connections, and the grid of a rate limit."""

import random
from fractions import Fraction

import pytest

from icstream.stages.live import RateLimit, Timeline

MILLI = Fraction(1, 1000)
TICK = Fraction(1, 90_000)


def test_the_own_times_of_a_source_are_kept_exactly() -> None:
    line = Timeline()
    line.begin_connection()
    given = [7, 3610, 7207]
    placed = [line.place(pts, TICK, 5.0 + n) for n, pts in enumerate(given)]
    assert placed == [(pts, TICK, None) for pts in given]
    assert line.clock == "pts"


def test_a_connection_that_begins_at_zero_goes_on_where_the_last_one_was() -> None:
    line = Timeline()
    line.begin_connection()
    line.place(0, MILLI, 100.0)
    line.place(1000, MILLI, 101.0)
    line.begin_connection()
    assert line.place(0, MILLI, 131.5) == (31_500, MILLI, None)  # 30.5 s later by the clock here
    assert line.place(40, MILLI, 131.6) == (31_540, MILLI, None)


def test_a_clock_that_went_on_while_nobody_was_connected_is_kept() -> None:
    line = Timeline()
    line.begin_connection()
    line.place(500_000, MILLI, 100.0)
    line.begin_connection()
    assert line.place(530_400, MILLI, 130.1) == (530_400, MILLI, None)


def test_a_time_that_runs_backwards_is_reported_and_shifted() -> None:
    line = Timeline()
    line.begin_connection()
    line.place(5000, MILLI, 10.0)
    assert line.place(1000, MILLI, 10.1) == (5100, MILLI, "time runs backwards")
    assert line.place(1040, MILLI, 10.2) == (5140, MILLI, None)


def test_a_clock_that_runs_backwards_again_and_again_is_given_up() -> None:
    line = Timeline()
    line.begin_connection()
    changes = [line.place(-n, MILLI, 10.0 + n)[2] for n in range(7)]
    assert changes[1:4] == ["time runs backwards"] * 3
    assert changes[4] == "times are of no use: those of arrival from here"
    assert changes[5:] == [None, None]
    assert line.clock == "arrival"


AHEAD_S = 37_600
"""How far some recorders stamp a frame ahead."""


def test_a_frame_that_is_stamped_far_ahead_changes_nothing_behind_it() -> None:
    line = Timeline()
    line.begin_connection()
    given = [40 * n + (1000 * AHEAD_S if n == 50 else 0) for n in range(100)]
    placed = [line.place(pts, MILLI, 7 + 0.04 * n, max_ahead_s=2.0) for n, pts in enumerate(given)]
    assert [pts for pts, _, _ in placed] == [40 * n for n in range(100)]
    changes = {n: change for n, (_, _, change) in enumerate(placed) if change}
    assert changes == {50: "time jumps ahead", 51: "time runs backwards"}


def test_a_clock_that_was_set_ahead_goes_on_as_arrivals_do() -> None:
    line = Timeline()
    line.begin_connection()
    given = [40 * n + (1000 * AHEAD_S if n >= 50 else 0) for n in range(100)]
    placed = [line.place(pts, MILLI, 7 + 0.04 * n, max_ahead_s=2.0) for n, pts in enumerate(given)]
    assert [pts for pts, _, _ in placed] == [40 * n for n in range(100)]
    assert [change for _, _, change in placed if change] == ["time jumps ahead"]


def test_stray_stamps_hours_apart_do_not_make_a_clock_useless() -> None:
    line = Timeline()
    line.begin_connection()
    for hour in range(20):
        for second in range(3):
            stray = 1000 * AHEAD_S if second == 1 else 0
            now = 3600 * hour + second
            placed, _, _ = line.place(1000 * now + stray, MILLI, float(now), max_ahead_s=2.0)
            assert placed == 1000 * now
            assert line.clock == "pts"


def test_what_was_held_up_may_catch_up_with_the_arrivals() -> None:
    line = Timeline()
    line.begin_connection()
    assert line.place(0, MILLI, 0.0, max_ahead_s=2.0)[2] is None
    assert line.place(1000, MILLI, 20.0, max_ahead_s=2.0)[2] is None  # 19 s late
    assert line.place(20_000, MILLI, 20.1, max_ahead_s=2.0) == (20_000, MILLI, None)


def test_the_times_of_a_recording_hold_however_fast_it_comes() -> None:
    line = Timeline()
    line.begin_connection()
    given = [0, 40, 5_000_000, 5_000_040]
    assert [line.place(pts, MILLI, 1.0)[0] for pts in given] == given


@pytest.mark.parametrize("held_back_s", [0.0, 0.7])
def test_time_does_not_drift_over_many_connections(held_back_s: float) -> None:
    """Each connection begins with what the server held back, which comes at once."""
    line, now = Timeline(), 100.0
    for _ in range(10):
        line.begin_connection()
        for n in range(20):  # its clock begins at 0 again
            arrived = now + max(held_back_s, 0.1 * n)
            placed, unit, _ = line.place(100 * n, MILLI, arrived, max_ahead_s=2.0)
        now += 2.5
    passed_s = 9 * 2.5 + 1.9
    assert abs(float(placed * unit) - passed_s) < 0.1


def test_a_source_without_times_gets_those_of_arrival() -> None:
    line = Timeline()
    line.begin_connection()
    placed = [line.place(None, MILLI, arrived) for arrived in (50.0, 50.25, 50.25)]
    assert [pts for pts, _, _ in placed] == [0, 250_000, 250_001]
    assert {unit for _, unit, _ in placed} == {Fraction(1, 1_000_000)}
    assert line.clock == "arrival"


def test_one_frame_without_a_time_among_others_stays_in_their_unit() -> None:
    line = Timeline()
    line.begin_connection()
    line.place(0, MILLI, 10.0)
    assert line.place(None, MILLI, 10.04) == (40, MILLI, None)
    assert line.place(80, MILLI, 10.08) == (80, MILLI, None)


def test_time_never_runs_backwards_whatever_comes() -> None:
    dice = random.Random(3)
    line, last, arrived = Timeline(), Fraction(-(10**9)), 0.0
    line.begin_connection()
    for _ in range(3000):
        arrived += dice.choice([0.0, 0.04, 3.0])
        if dice.random() < 0.02:
            line.begin_connection()
        pts = dice.choice([None, dice.randrange(-(10**6), 10**6)])
        placed, unit, _ = line.place(pts, dice.choice([MILLI, TICK]), arrived)
        assert placed * unit > last
        last = placed * unit


def test_the_rate_limit_keeps_one_frame_in_each_cell() -> None:
    limit = RateLimit(10)
    times = [Fraction(n, 30) for n in range(90)]
    kept = [time for time in times if limit.keeps(time)]
    assert kept == [Fraction(n, 10) for n in range(30)]


@pytest.mark.parametrize("lost", [set(), {3}, {3, 4, 5}, set(range(1, 40))])
def test_what_is_kept_does_not_depend_on_what_was_lost_long_before(lost: set[int]) -> None:
    limit = RateLimit(4.5)
    kept = {n for n in range(90) if n not in lost and limit.keeps(Fraction(n, 30))}
    full = RateLimit(4.5)
    assert {n for n in kept if n > 50} == {
        n for n in range(90) if full.keeps(Fraction(n, 30)) and n > 50
    }


def test_without_a_limit_every_frame_is_kept() -> None:
    limit = RateLimit(None)
    assert all(limit.keeps(Fraction(1)) for _ in range(3))
