"""When the rate falls and when validation is due, against worked cases and the rules as written."""

import json
import random

import pytest

from icstream.stages.train.schedule import Patience, ValidationClock, poly_factor
from icstream.stages.train.settings import PatienceSchedule, PolySchedule

# The worked cases were taken from runs of the plugin's own code.
FALLS_AND_RISES = [5, 4, 3, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6, 3.7, 2, 2.1, 2.2]


def divisions(losses: list[float], patience: int) -> list[int]:
    rule = Patience(PatienceSchedule(patience=patience))
    return [number for number, loss in enumerate(losses, 1) if rule.step(loss)]


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        (FALLS_AND_RISES, 2, [5, 8, 13]),
        ([1, 1, 1, 1, 1, 1], 2, []),
        ([1, 2, 3, 4, 5, 6, 7], 1, [2, 4, 6]),
    ],
)
def test_the_rate_is_divided_where_the_plugin_divides_it(
    losses: list[float], patience: int, expected: list[int]
) -> None:
    assert divisions(losses, patience) == expected


def test_the_rule_over_all_losses_gives_the_same_as_its_running_form() -> None:
    chance = random.Random(0)
    num_divisions = 0
    for _ in range(200):
        losses = [float(chance.randrange(12)) for _ in range(60)]
        patience = chance.randint(1, 6)
        expected, last = [], 0
        for count in range(1, len(losses) + 1):
            seen = losses[:count]
            if count - last > patience and min(seen[-patience:]) > min(seen):
                expected.append(count)
                last = count
        assert divisions(losses, patience) == expected
        num_divisions += len(expected)
    assert num_divisions > 500


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_is_worse_than_any(broken: float) -> None:
    assert divisions([broken, 2, broken, broken, broken], 2) == [4]
    assert divisions([broken] * 9, 1) == []


@pytest.mark.parametrize("cut", range(len(FALLS_AND_RISES) + 1))
def test_patience_goes_on_from_its_state_as_json(cut: int) -> None:
    first = Patience(PatienceSchedule(patience=2))
    before = [first.step(loss) for loss in FALLS_AND_RISES[:cut]]
    second = Patience(PatienceSchedule(patience=2))
    second.load(json.loads(json.dumps(first.state(), allow_nan=False)))
    after = [second.step(loss) for loss in FALLS_AND_RISES[cut:]]
    assert [n for n, divided in enumerate(before + after, 1) if divided] == [5, 8, 13]


def validations(val_every: float, *, epochs: int, steps_per_epoch: int) -> list[int]:
    clock = ValidationClock(val_every=val_every, steps_per_epoch=steps_per_epoch)
    return [step for step in range(1, epochs * steps_per_epoch + 1) if clock.tick(step)]


@pytest.mark.parametrize(
    ("val_every", "epochs", "steps_per_epoch", "expected"),
    [
        (0.3, 2, 10, [3, 6, 9, 12, 15, 18]),
        (0.25, 2, 3, [1, 2, 3, 4, 5, 6]),
        (2, 2, 7, [14]),
        (3, 2, 7, []),
        (1, 3, 4, [4, 8, 12]),
        (0.1, 1, 10, list(range(1, 11))),
    ],
)
def test_validation_is_due_where_the_plugin_validates(
    val_every: float, epochs: int, steps_per_epoch: int, expected: list[int]
) -> None:
    found = validations(val_every, epochs=epochs, steps_per_epoch=steps_per_epoch)
    assert found == expected


def test_a_validation_that_was_missed_follows_at_the_next_step() -> None:
    clock = ValidationClock(val_every=1, steps_per_epoch=2)
    assert [clock.tick(step) for step in (4, 5, 5)] == [True, True, False]


@pytest.mark.parametrize("cut", range(21))
def test_the_clock_goes_on_from_its_state_as_json(cut: int) -> None:
    first = ValidationClock(val_every=0.3, steps_per_epoch=10)
    due = [step for step in range(1, cut + 1) if first.tick(step)]
    second = ValidationClock(val_every=0.3, steps_per_epoch=10)
    second.load(json.loads(json.dumps(first.state())))
    due += [step for step in range(cut + 1, 21) if second.tick(step)]
    assert due == [3, 6, 9, 12, 15, 18]


def test_the_poly_rate_rises_to_one_and_falls_to_nothing() -> None:
    schedule = PolySchedule(warm_up_share=0.1, power=0.9)
    factors = [poly_factor(step, 100, schedule) for step in range(101)]
    assert factors[:11] == pytest.approx([(step + 1) / 11 for step in range(11)])
    assert factors[10] == max(factors) == 1
    # Half of the way down, by hand: 0.5 ^ 0.9.
    assert factors[55] == pytest.approx(0.535887, abs=1e-6)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert min(factors[:-1]) > 0
    assert factors[-1] == 0


def test_without_warm_up_the_poly_rate_starts_at_one() -> None:
    schedule = PolySchedule(warm_up_share=0, power=1)
    assert [poly_factor(step, 4, schedule) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]


@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
def test_the_shortest_runs_have_a_rate(num_steps: int, share: float) -> None:
    schedule = PolySchedule(warm_up_share=share)
    factors = [poly_factor(step, num_steps, schedule) for step in range(num_steps)]
    assert all(0 < factor <= 1 for factor in factors)


@pytest.mark.parametrize("step", [-1, 5])
def test_a_step_outside_the_run_has_no_rate(step: int) -> None:
    with pytest.raises(ValueError, match="0 to 4"):
        poly_factor(step, 4, PolySchedule())
