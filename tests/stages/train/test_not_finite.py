"""Losses and weights that are not finite."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icstream.model import Checkpoint, ConfigError
from icstream.stages.train import (
    TrainSettings,
    trainer,
)
from icstream.stages.train.validate import Validation, validate_network
from support.trainings import (
    PLUGIN,
    RECIPE,
    train_stripes,
)

pytestmark = pytest.mark.slow


def with_loss(monkeypatch: pytest.MonkeyPatch, *losses: float) -> None:
    """Let validations have these losses, one after the other."""
    left = iter(losses)
    validate = validate_network

    def validate_so(*args: Any, **options: Any) -> Validation:
        return replace(validate(*args, **options), loss=next(left))

    monkeypatch.setattr(trainer, "validate_network", validate_so)


@pytest.mark.parametrize("settings", [RECIPE, replace(PLUGIN, epochs=3)], ids=["recipe", "plugin"])
def test_a_loss_that_is_not_finite_is_never_best(
    settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_loss(monkeypatch, math.nan, 0.5, 0.7)
    train_stripes(settings, tmp_path)
    text = (tmp_path / "metrics.jsonl").read_text()
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    validations = [line for line in lines if line["type"] == "val"]
    assert [line["loss"] for line in validations] == [None, 0.5, 0.7]
    assert [line["best"] for line in validations][:2] == [False, True]
    assert Checkpoint.load(tmp_path / "best.safetensors").training["validation"]["loss"] != math.nan


def test_a_last_loss_that_is_not_finite_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_loss(monkeypatch, math.inf)
    with pytest.raises(ConfigError, match="validation loss became inf at step 3; a lower lr"):
        train_stripes(replace(RECIPE, epochs=1), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a lower lr"):
        train_stripes(replace(PLUGIN, epochs=1, batch_train=12, lr=1e38), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
