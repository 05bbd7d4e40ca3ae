"""Samples that cannot be read: counted once each, and within a budget."""

from dataclasses import replace
from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.stages.data import LabeledData
from support.stripes import Stripes, stripes_data
from support.trainings import PLUGIN, train_stripes

pytestmark = pytest.mark.slow


def corrupted_data(num_corrupted: int) -> LabeledData:
    data = stripes_data()
    train = tuple(Stripes(i, corrupted=i < num_corrupted) for i in range(12))
    return replace(data, splits={**data.splits, "train": train})


def test_corrupted_samples_within_the_budget_are_counted_once_each(tmp_path: Path) -> None:
    settings = replace(PLUGIN, allow_corrupted_train=2, workers_train=2)
    result = train_stripes(settings, tmp_path, data=corrupted_data(2))
    assert result.failures == {f"stripes {i}": f"stripes {i}: cannot be read" for i in range(2)}
    assert result.finished


@pytest.mark.parametrize("workers", [0, 3])
def test_one_corrupted_sample_too_many_ends_it_whatever_the_workers(
    workers: int, tmp_path: Path
) -> None:
    settings = replace(PLUGIN, allow_corrupted_train=2, workers_train=workers)
    with pytest.raises(ConfigError, match=r"3 corrupted training samples, allowed are 2: stripes"):
        train_stripes(settings, tmp_path, data=corrupted_data(3))


def test_annotations_broken_at_the_start_count_against_the_budget(tmp_path: Path) -> None:
    data = replace(stripes_data(), corrupted=("a.json: not JSON",))
    with pytest.raises(ConfigError, match=r"1 corrupted .* allowed are 0: a\.json: not JSON"):
        train_stripes(PLUGIN, tmp_path, data=data)
    assert train_stripes(replace(PLUGIN, allow_corrupted_train=1), tmp_path, data=data).finished


def test_corrupted_validation_samples_have_a_budget_of_their_own(tmp_path: Path) -> None:
    data = stripes_data()
    val = (*data.splits["val"], Stripes(7, corrupted=True))
    data = replace(data, splits={**data.splits, "val": val})
    with pytest.raises(ConfigError, match="1 corrupted validation samples, allowed are 0"):
        train_stripes(PLUGIN, tmp_path, data=data)
    result = train_stripes(replace(PLUGIN, allow_corrupted_val=1), tmp_path, data=data)
    assert result.validation is not None
    assert result.validation.num_samples == 3


def test_validation_samples_that_fail_are_failures_and_all_of_them_an_error(tmp_path: Path) -> None:
    data = stripes_data()
    broken = (Stripes(7, corrupted=True), Stripes(8, corrupted=True))
    settings = replace(PLUGIN, epochs=1, allow_corrupted_val=2)
    some = replace(data, splits={**data.splits, "val": (*data.splits["val"], *broken)})
    assert train_stripes(settings, tmp_path / "some", data=some).failures.keys() == {
        "stripes 7",
        "stripes 8",
    }
    with pytest.raises(ConfigError, match="no validation sample can be used, the first:"):
        train_stripes(
            settings, tmp_path / "all", data=replace(data, splits={**data.splits, "val": broken})
        )
