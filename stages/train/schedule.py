"""Schedules of validations and learning rates, with states that fit JSON."""

import math
from collections.abc import Mapping
from typing import Any

from icstream.stages.train.settings import PatienceSchedule, PolySchedule


class Patience:
    """The rule of the Supervisely plugin for dividing the learning rate.

    It is divided when more than `patience` validations have passed since the last time, or since
    the start, and none of the last `patience` losses was as low as the lowest ever.
    """

    def __init__(self, schedule: PatienceSchedule) -> None:
        self._patience = schedule.patience
        self._num_losses = 0
        self._divided_at = 0
        self._lowest: float | None = None
        self._lowest_at = 0

    def step(self, val_loss: float) -> bool:
        """Add the loss of a validation, and return whether to divide the rate now.

        A loss that is not finite is worse than any other.
        """
        self._num_losses += 1
        if math.isfinite(val_loss) and (self._lowest is None or val_loss <= self._lowest):
            self._lowest, self._lowest_at = val_loss, self._num_losses
        waited = self._num_losses - self._divided_at > self._patience
        worse = self._num_losses - self._lowest_at >= self._patience
        if not (waited and worse) or self._lowest is None:
            return False
        self._divided_at = self._num_losses
        return True

    def state(self) -> dict[str, int | float | None]:
        """Return the state for `load`."""
        return {
            "num_losses": self._num_losses,
            "divided_at": self._divided_at,
            "lowest": self._lowest,
            "lowest_at": self._lowest_at,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a result of `state`."""
        self._num_losses = state["num_losses"]
        self._divided_at = state["divided_at"]
        self._lowest = state["lowest"]
        self._lowest_at = state["lowest_at"]


class ValidationClock:
    """The rule for validations, at most one per step and none due to the end."""

    def __init__(self, *, val_every: float, steps_per_epoch: int) -> None:
        self._val_every = val_every
        self._steps_per_epoch = steps_per_epoch
        self._num_validations = 0

    def tick(self, steps_done: int) -> bool:
        """Set the number of steps since the start of the run, and return whether to validate now.

        Call this after every step, as a true result is counted as a validation.
        """
        epochs, steps = divmod(steps_done, self._steps_per_epoch)
        epoch = epochs + steps / self._steps_per_epoch
        # 0.3 / 0.1 is below 3; the plugin's tolerance for that is kept, as it affects the schedule.
        if math.floor(epoch / self._val_every + 1e-9) <= self._num_validations:
            return False
        self._num_validations += 1
        return True

    def state(self) -> dict[str, int]:
        """Return the state for `load`."""
        return {"num_validations": self._num_validations}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a result of `state`."""
        self._num_validations = state["num_validations"]


def poly_factor(step: int, num_steps: int, schedule: PolySchedule) -> float:
    """Return the factor of the learning rate at a step, above 0 and at most 1.

    It rises linearly to 1 over the warm-up and is then (1 - progress) ^ power, with the progress
    counted from the end of the warm-up, so that it is continuous.

    Args:
        step: The step, from 0; the factor at `num_steps`, after the last step, is 0.
        num_steps: The number of steps of the whole run.
        schedule: The length of the warm-up, and the power of the decay.

    Raises:
        ValueError: There is no such step.
    """
    if not 0 <= step <= num_steps:
        raise ValueError(f"step: got {step}, allowed are 0 to {num_steps}")
    warm_up_steps = round(schedule.warm_up_share * num_steps)
    if step < warm_up_steps:
        return (step + 1) / (warm_up_steps + 1)
    if step == num_steps:
        return 0.0
    progress = (step - warm_up_steps) / (num_steps - warm_up_steps)
    return float((1 - progress) ** schedule.power)
