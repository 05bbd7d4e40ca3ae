"""What a training takes from the weights that it begins with."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from icstream.model import Checkpoint, CheckpointError
from support.stripes import LABELS, stripes_data
from support.trainings import PLUGIN, read_tensors, train_stripes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training whose weights others begin with."""
    folder = tmp_path_factory.mktemp("first")
    train_stripes(replace(PLUGIN, epochs=1), folder)
    return folder


def start_of(folder: Path) -> Checkpoint:
    return Checkpoint.load(folder / "last.safetensors")


def test_transfer_learning_takes_all_but_the_classifiers(first: Path, tmp_path: Path) -> None:
    still = replace(PLUGIN, epochs=1, lr=1e-12, seed=5)
    train_stripes(still, tmp_path / "second", start=start_of(first))
    before, after = read_tensors(first), read_tensors(tmp_path / "second")
    same = {name for name in before if torch.allclose(before[name], after[name], atol=1e-6)}
    kernels = {name for name in before if name.endswith("conv.weight")}
    assert kernels <= same
    assert {n for n in before if "aux.weight" in n or n == "classifier.weight"} & same == set()


def test_continue_training_loads_everything_and_requires_the_same_classes(
    first: Path, tmp_path: Path
) -> None:
    still = replace(PLUGIN, epochs=1, lr=1e-12, seed=5, init="continue_training")
    train_stripes(still, tmp_path / "second", start=start_of(first))
    before, after = read_tensors(first), read_tensors(tmp_path / "second")
    assert all(
        torch.allclose(before[name], after[name], atol=1e-6)
        for name in before
        if not name.endswith(("running_mean", "running_var"))
    )
    others = replace(stripes_data(), labels=replace(LABELS, names=("a", "b", "c")))
    with pytest.raises(CheckpointError, match="the same classes: the weights have dark, red"):
        train_stripes(still, tmp_path / "third", start=start_of(first), data=others)


@pytest.mark.parametrize("init", ["transfer_learning", "continue_training"])
def test_weights_of_another_shape_are_refused(init: str, first: Path, tmp_path: Path) -> None:
    wider = replace(PLUGIN, width=1 / 4, init=init)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=r"another shape: .* the network needs"):
        train_stripes(wider, tmp_path / "second", start=start_of(first))


def test_weights_with_batch_norm_do_not_continue_without(first: Path, tmp_path: Path) -> None:
    without = replace(PLUGIN, use_batchnorm=False, init="continue_training")
    with pytest.raises(CheckpointError, match="that the network lacks"):
        train_stripes(without, tmp_path / "second", start=start_of(first))


def test_weights_of_another_variant_are_warned_of_and_do_not_continue(
    first: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paper = replace(PLUGIN, epochs=1, variant="paper")
    train_stripes(paper, tmp_path / "second", start=start_of(first))
    assert "were trained with variant supervisely, now paper" in caplog.text
    with pytest.raises(CheckpointError, match=r"needs the same network: .* supervisely"):
        train_stripes(
            replace(paper, init="continue_training"), tmp_path / "third", start=start_of(first)
        )
