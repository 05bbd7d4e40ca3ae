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


def test_a_time_that_runs_backwards_is_told_and_moved_on() -> None:
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
