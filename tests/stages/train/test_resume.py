"""Trainings that go on: to the same bits, from nothing but their own state."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from icstream.model import ConfigError
from icstream.stages.train import (
    Augmentation,
    Paste,
    Photometric,
    TrainSettings,
)
from icstream.stages.train.data_loading import Batch, TrainBatches
from icstream.stages.train.loader import LoaderError
from support.stripes import Halved, stripes_data
from support.trainings import (
    PLUGIN,
    RECIPE,
    Silent,
    equal_tensors,
    has_torchvision,
    read_metrics,
    read_tensors,
    train_stripes,
)

pytestmark = pytest.mark.slow

ALL_RANDOM = replace(
    RECIPE,
    augmentation=Augmentation(
        whole_frames_share=0.2, photometric=Photometric(), paste=Paste(classes=("red", "green"))
    ),
    label_smoothing=0.1,
    dropout=0.3,
)


RECIPES = {"recipe": RECIPE, "plugin": PLUGIN, "all random": ALL_RANDOM}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what gives the folder of a training by one of the `RECIPES` that nobody stopped."""

    @cache
    def train(name: str) -> Path:
        folder = tmp_path_factory.mktemp("whole")
        train_stripes(RECIPES[name], folder)
        return folder

    return train


@pytest.fixture(scope="module")
def stopped_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    train_stripes(RECIPE, folder, display=Silent(2))
    return folder


@pytest.fixture
def stopped(stopped_folder: Path, tmp_path: Path) -> Path:
    """Return a folder of one's own with a training by `RECIPE` that was stopped after 2 steps."""
    return Path(shutil.copytree(stopped_folder, tmp_path / "stopped"))


@pytest.mark.parametrize(
    "recipe",
    [
        "recipe",
        "plugin",
        pytest.param(
            "all random",
            marks=pytest.mark.skipif(not has_torchvision(), reason="needs torchvision"),
        ),
    ],
)
@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    recipe: str, stop_at: int, whole: Callable[[str], Path], tmp_path: Path
) -> None:
    settings = RECIPES[recipe]
    interrupted = train_stripes(settings, tmp_path, display=Silent(stop_at))
    assert (interrupted.steps, interrupted.finished) == (stop_at, False)
    # The number of loader processes may be another one.
    assert train_stripes(replace(settings, workers_train=2), tmp_path, resume=True).finished
    for name in ("last", "best"):
        assert equal_tensors(read_tensors(whole(recipe), name), read_tensors(tmp_path, name))
    assert read_metrics(whole(recipe)) == read_metrics(tmp_path)


def test_a_state_has_the_keys_of_0_1_0(tmp_path: Path) -> None:
    train_stripes(RECIPE, tmp_path, display=Silent(1))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert " ".join(state) == "format progress told model optimiser scaler average"
    keys = ("step", "lr", "clock", "patience", "num_validations", "best", "failures")
    assert tuple(state["progress"]) == keys
    assert state["told"].keys() == {"settings", "data", "environment"}
    assert state["average"].keys() == {"num_updates", "tensors"}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_state_of_the_unfused_optimizer_goes_on_in_the_fused_one(
    precision: Literal["bf16", "fp16"], tmp_path: Path
) -> None:
    settings = replace(RECIPE, precision=precision)
    train_stripes(settings, tmp_path, display=Silent(2))
    path = tmp_path / "state.pt"
    state = torch.load(path, weights_only=True)
    for group in state["optimiser"]["param_groups"]:
        group["fused"] = None
    torch.save(state, path)
    assert train_stripes(settings, tmp_path, resume=True).finished


def change(name: str) -> Callable[[TrainSettings], TrainSettings]:
    values: dict[str, object] = {"lr": 0.1, "seed": 7, "epochs": 5}
    return lambda settings: replace(settings, **{name: values[name]})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["lr", "seed", "epochs"])
def test_going_on_with_other_settings_is_refused(name: str, stopped: Path) -> None:
    with pytest.raises(ConfigError, match="was begun with other settings"):
        train_stripes(change(name)(RECIPE), stopped, resume=True)


def test_going_on_with_other_data_is_refused(stopped: Path) -> None:
    with pytest.raises(ConfigError, match="was begun with other data"):
        train_stripes(RECIPE, stopped, data=stripes_data(num_train=11), resume=True)


def test_resuming_with_other_labels_is_refused_unless_the_state_is_of_0_1_0(
    stopped: Path,
) -> None:
    data = stripes_data()
    train = (*data.splits["train"][:5], Halved(data.splits["train"][5]), *data.splits["train"][6:])
    changed = replace(data, splits={**data.splits, "train": train})
    with pytest.raises(ConfigError, match="1 samples have changed, the first is 'stripes 5'"):
        train_stripes(RECIPE, stopped, data=changed, resume=True)
    state = torch.load(stopped / "state.pt", weights_only=True)
    del state["told"]["data"]["content"]
    torch.save(state, stopped / "state.pt")
    assert train_stripes(RECIPE, stopped, data=changed, resume=True).finished


def test_nothing_is_begun_that_is_refused(stopped: Path) -> None:
    begun: list[str] = []
    for settings, resume in ((replace(RECIPE, lr=0.1), True), (RECIPE, True)):
        with suppress(ConfigError):
            train_stripes(settings, stopped, resume=resume, on_begin=lambda: begun.append("begun"))
    assert begun == ["begun"]


def test_a_full_disk_is_named_and_leaves_the_earlier_state(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (stopped / "state.pt").read_bytes()

    def full(path: Path, content: Any) -> int:
        with path.open("wb") as file:
            file.write(bytes(content)[: 100 if "state" in path.name else None])
        if not path.name.startswith("state.pt"):
            return len(content)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        train_stripes(replace(RECIPE, checkpoint_every_steps=1), stopped, resume=True)
    assert caught.value.filename == str(stopped / "state.pt")
    assert (stopped / "state.pt").read_bytes() == before
    assert not list(stopped.glob("*.partial"))


def test_when_a_loader_is_killed_the_state_is_saved(
    whole: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = TrainBatches.batches

    def some(self: TrainBatches, first_step: int) -> Iterator[Batch]:
        yield from islice(batches(self, first_step), 2)
        raise LoaderError("a process was killed")

    monkeypatch.setattr(TrainBatches, "batches", some)
    with pytest.raises(LoaderError, match="killed; the state is saved, continue with --resume"):
        train_stripes(RECIPE, tmp_path / "parts")
    monkeypatch.undo()
    assert train_stripes(RECIPE, tmp_path / "parts", resume=True).finished
    assert equal_tensors(read_tensors(whole("recipe")), read_tensors(tmp_path / "parts"))


def test_resuming_with_other_threads_is_logged(
    stopped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        train_stripes(RECIPE, stopped, resume=True)
    finally:
        torch.set_num_threads(threads)
    assert f"was begun with threads {threads}, continues with {threads + 1}" in caplog.text


def test_a_state_that_is_damaged_or_missing_is_named(stopped_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to resume"):
        train_stripes(RECIPE, tmp_path, resume=True)
    (tmp_path / "state.pt").write_bytes(b"no state")
    with pytest.raises(ConfigError, match=r"state\.pt: cannot be read"):
        train_stripes(RECIPE, tmp_path, resume=True)
    for other in ([1, 2], {"format": 1}, {"model": torch.zeros(2)}):
        torch.save(other, tmp_path / "state.pt")
        with pytest.raises(ConfigError, match=r"state\.pt: not the state of a training"):
            train_stripes(RECIPE, tmp_path, resume=True)
    state = torch.load(stopped_folder / "state.pt", weights_only=True)
    for key in ("told", "progress", "model", "optimiser"):
        torch.save({**state, key: {}}, tmp_path / "state.pt")
        with pytest.raises(ConfigError, match=r"state\.pt: not the state of a training"):
            train_stripes(RECIPE, tmp_path, resume=True)


def test_lines_of_anything_in_the_metrics_are_dropped_when_it_goes_on(stopped: Path) -> None:
    path = stopped / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + b'{"type": "train", "st\n[1]\n{}\n' + b"\0\xff" * 50)
    train_stripes(RECIPE, stopped, resume=True)
    assert [line["step"] for line in read_metrics(stopped) if line["type"] == "train"] == list(
        range(1, 10)
    )
