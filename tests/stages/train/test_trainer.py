"""The training loop on small images: it learns, and going on changes no bit."""

import errno
import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from icstream.model import Checkpoint, CheckpointError, ConfigError, Fit, ICNet, Segmenter
from icstream.model.icnet import Features
from icstream.stages.confusion import Confusion
from icstream.stages.data import VOID, LabeledData, LabeledImage, Sample
from icstream.stages.train import (
    Augmentation,
    Paste,
    PatienceSchedule,
    Photometric,
    PolySchedule,
    Trained,
    TrainSettings,
    train_network,
    trainer,
)
from icstream.stages.train.data_loading import Batch, TrainBatches
from icstream.stages.train.loader import LoaderError
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.validate import Validation, validate_network
from support.stripes import LABELS, Stripes, stripes_data
from support.trainings import PLUGIN, RECIPE, Silent, has_torchvision

ALONE = Ranks(rank=0, count=1, device=torch.device("cpu"))


def run(
    settings: TrainSettings,
    folder: Path,
    *,
    data: LabeledData | None = None,
    start: Checkpoint | None = None,
    resume: bool = False,
    display: Silent | None = None,
    on_begin: Callable[[], None] = lambda: None,
) -> Trained:
    folder.mkdir(exist_ok=True)
    display = display or Silent()
    return train_network(
        settings,
        data or stripes_data(),
        folder,
        ranks=ALONE,
        start=start,
        resume=resume,
        record={},
        display=display,
        should_stop=display.should_stop,
        on_begin=on_begin,
    )


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    checkpoint = Checkpoint.load(folder / f"{name}.safetensors")
    return {key: checkpoint.tensors[key] for key in checkpoint.tensors}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_it_learns_and_the_file_that_it_writes_segments_as_it_validated(tmp_path: Path) -> None:
    settings = replace(RECIPE, epochs=12, val_every=12)
    result = run(settings, tmp_path)
    assert result.finished
    assert result.validation is not None
    assert result.validation.confusion.miou() > 0.7
    segmenter = Segmenter(Checkpoint.load(tmp_path / "best.safetensors"), runtime="torch")
    confusion = Confusion(len(LABELS))
    for sample in stripes_data().split("val"):
        image = sample.load()
        confusion.add(segmenter(image.rgb_HW3), image.ids_HW)
    assert np.abs(confusion.counts - result.validation.confusion.counts).sum() <= 20


ALL_RANDOM = replace(
    RECIPE,
    augmentation=Augmentation(
        whole_frames_share=0.2, photometric=Photometric(), paste=Paste(classes=("red", "green"))
    ),
    label_smoothing=0.1,
    dropout=0.3,
)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(RECIPE, id="recipe"),
        pytest.param(PLUGIN, id="plugin"),
        pytest.param(
            ALL_RANDOM,
            id="all random",
            marks=pytest.mark.skipif(not has_torchvision(), reason="needs torchvision"),
        ),
    ],
)
@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    settings: TrainSettings, stop_at: int, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(settings, whole)
    stopped = run(settings, parts, display=Silent(stop_at))
    assert (stopped.steps, stopped.finished) == (stop_at, False)
    # The number of loader processes may be another one.
    assert run(replace(settings, workers_train=2), parts, resume=True).finished
    for name in ("last", "best"):
        assert equal(weights(whole, name), weights(parts, name))
    lines = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (whole, parts)
    ]
    for line in [*lines[0], *lines[1]]:
        line.pop("seconds", None)
    assert lines[0] == lines[1]


def test_a_state_has_the_keys_of_0_1_0(tmp_path: Path) -> None:
    run(RECIPE, tmp_path, display=Silent(1))
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
    run(settings, tmp_path, display=Silent(2))
    path = tmp_path / "state.pt"
    state = torch.load(path, weights_only=True)
    for group in state["optimiser"]["param_groups"]:
        group["fused"] = None
    torch.save(state, path)
    assert run(settings, tmp_path, resume=True).finished


def test_each_step_reports_its_losses_and_each_validation_its_scores(tmp_path: Path) -> None:
    run(RECIPE, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["type"] == "train"]
    assert [line["step"] for line in steps] == list(range(1, 10))
    for line in steps:
        parts = line["loss_sub124"] + 0.4 * line["loss_sub24"] + 0.16 * line["loss_sub4"]
        assert line["loss"] == pytest.approx(parts, rel=1e-5)
        assert 0 <= line["accuracy"] <= 1
    validations = [line for line in lines if line["type"] == "val"]
    assert [line["epoch"] for line in validations] == [1, 2, 3]
    assert validations[-1]["iou"].keys() <= set(LABELS.names)
    assert list((tmp_path / "tensorboard").iterdir())


def test_it_validates_and_saves_at_the_end_even_if_val_every_is_longer(tmp_path: Path) -> None:
    display = Silent()
    result = run(replace(RECIPE, epochs=1, val_every=7), tmp_path, display=display)
    assert display.validations == [1]
    assert result.validation is not None
    assert (tmp_path / "last.safetensors").exists()
    assert (tmp_path / "best.safetensors").exists()


def test_validations_are_kept_on_request(tmp_path: Path) -> None:
    run(replace(RECIPE, keep_every_validation=True), tmp_path)
    kept = sorted(path.name for path in (tmp_path / "validations").iterdir())
    assert kept == [f"{i:08d}.safetensors" for i in range(3)]
    last = Checkpoint.load(tmp_path / "validations" / kept[-1])
    assert equal({k: last.tensors[k] for k in last.tensors}, weights(tmp_path))


def test_weights_say_how_images_are_to_be_shown(tmp_path: Path) -> None:
    run(replace(PLUGIN, epochs=1), tmp_path / "plugin")
    run(replace(RECIPE, epochs=1), tmp_path / "native")
    run(replace(RECIPE, epochs=1, input_scale=2), tmp_path / "doubled")
    fits = [
        Checkpoint.load(tmp_path / name / "last.safetensors").fit
        for name in ("plugin", "native", "doubled")
    ]
    # Stripes are 80 pixels high; up to sqrt(2) times that, twice the size is the nearer one.
    assert fits == [Fit("stretch", (97, 129)), Fit(), Fit(double_below=113)]


def test_neutral_pixels_do_not_train(tmp_path: Path) -> None:
    """Half of the pixels are void; what the image shows there must reach no classifier."""
    data = stripes_data()
    splits: dict[str, tuple[Sample, ...]] = {
        split: tuple(Halved(sample) for sample in samples) for split, samples in data.splits.items()
    }
    result = run(replace(PLUGIN, epochs=1), tmp_path, data=replace(data, splits=splits))
    assert result.validation is not None
    # 3 images of 80x100: two rows are void in all of them, and here the right half too.
    assert result.validation.confusion.counts.sum() == 3 * 78 * 50
    nothing = {split: tuple(Halved(s, whole=True) for s in data.splits[split]) for split in splits}
    still = replace(PLUGIN, epochs=1, use_batchnorm=False)
    for name, lr in (("slow", 1e-12), ("fast", 1e-2)):
        settings = replace(still, lr=lr)
        run(settings, tmp_path / name, data=replace(data, splits={**data.splits, **nothing}))
    slow, fast = weights(tmp_path / "slow"), weights(tmp_path / "fast")
    assert all(torch.allclose(slow[name], fast[name], atol=1e-6) for name in slow)


@dataclass(frozen=True, slots=True)
class Halved:
    """A sample with void in its right half, or everywhere."""

    sample: Sample
    whole: bool = False

    @property
    def name(self) -> str:
        return self.sample.name

    def load(self) -> LabeledImage:
        image = self.sample.load()
        image.ids_HW[:, 0 if self.whole else image.ids_HW.shape[1] // 2 :] = VOID
        return image


def test_the_rate_drops_by_patience_and_adam_keeps_its_moments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.optim.Optimizer] = []
    create = torch.optim.Adam.__init__

    def remember(self: torch.optim.Adam, *args: object, **options: object) -> None:
        made.append(self)
        create(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.optim.Adam, "__init__", remember)
    # Validated after every step, and far too fast: it gets worse soon.
    schedule = PatienceSchedule(patience=1, divisor=10.0)
    settings = replace(PLUGIN, epochs=4, val_every=0.3, lr=0.1, schedule=schedule)
    display = Silent()
    run(settings, tmp_path, display=display)
    assert len(made) == 1
    assert display.rates[0] == 0.1
    assert display.rates[-1] < 0.1
    assert all(
        after in (before, pytest.approx(before / 10))
        for before, after in zip(display.rates, display.rates[1:], strict=False)
    )


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        torch.manual_seed(len(name))  # the process's own random state is of no consequence
        np.random.seed(len(name))
        run(replace(RECIPE, epochs=1, seed=seed), tmp_path / name)
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "same"))
    assert not equal(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_validation_keeps_no_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []
    features = ICNet.features

    def watch(self: ICNet, x_NCHW: torch.Tensor) -> Features:
        found = features(self, x_NCHW)
        seen.append((self.training, found.fused12_NCHW.requires_grad))
        return found

    monkeypatch.setattr(ICNet, "features", watch)
    run(replace(PLUGIN, epochs=1), tmp_path)
    assert set(seen) == {(True, True), (False, False)}


def test_poly_warms_up_and_falls_to_almost_nothing(tmp_path: Path) -> None:
    display = Silent()
    run(replace(RECIPE, schedule=PolySchedule(warm_up_share=0.3)), tmp_path, display=display)
    top = int(np.argmax(display.rates))
    assert 0 < top < 4
    assert display.rates[top] == pytest.approx(4e-3)
    assert display.rates[-1] < 1e-3


def corrupted_data(num_corrupted: int) -> LabeledData:
    data = stripes_data()
    train = tuple(Stripes(i, corrupted=i < num_corrupted) for i in range(12))
    return replace(data, splits={**data.splits, "train": train})


def test_corrupted_samples_within_the_budget_are_counted_once_each(tmp_path: Path) -> None:
    settings = replace(PLUGIN, allow_corrupted_train=2, workers_train=2)
    result = run(settings, tmp_path, data=corrupted_data(2))
    assert result.failures == {f"stripes {i}": f"stripes {i}: cannot be read" for i in range(2)}
    assert result.finished


@pytest.mark.parametrize("workers", [0, 3])
def test_one_corrupted_sample_too_many_ends_it_whatever_the_workers(
    workers: int, tmp_path: Path
) -> None:
    settings = replace(PLUGIN, allow_corrupted_train=2, workers_train=workers)
    with pytest.raises(ConfigError, match=r"3 corrupted training samples, allowed are 2: stripes"):
        run(settings, tmp_path, data=corrupted_data(3))


def test_annotations_broken_at_the_start_count_against_the_budget(tmp_path: Path) -> None:
    data = replace(stripes_data(), corrupted=("a.json: not JSON",))
    with pytest.raises(ConfigError, match=r"1 corrupted .* allowed are 0: a\.json: not JSON"):
        run(PLUGIN, tmp_path, data=data)
    assert run(replace(PLUGIN, allow_corrupted_train=1), tmp_path, data=data).finished


def test_corrupted_validation_samples_have_a_budget_of_their_own(tmp_path: Path) -> None:
    data = stripes_data()
    val = (*data.splits["val"], Stripes(7, corrupted=True))
    data = replace(data, splits={**data.splits, "val": val})
    with pytest.raises(ConfigError, match="1 corrupted validation samples, allowed are 0"):
        run(PLUGIN, tmp_path, data=data)
    result = run(replace(PLUGIN, allow_corrupted_val=1), tmp_path, data=data)
    assert result.validation is not None
    assert result.validation.num_samples == 3


def test_transfer_learning_takes_all_but_the_classifiers(tmp_path: Path) -> None:
    run(replace(PLUGIN, epochs=1), tmp_path / "first")
    start = Checkpoint.load(tmp_path / "first" / "last.safetensors")
    still = replace(PLUGIN, epochs=1, lr=1e-12, seed=5)
    run(still, tmp_path / "second", start=start)
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    same = {name for name in before if torch.allclose(before[name], after[name], atol=1e-6)}
    kernels = {name for name in before if name.endswith("conv.weight")}
    assert kernels <= same
    assert {n for n in before if "aux.weight" in n or n == "classifier.weight"} & same == set()


def test_continue_training_takes_everything_and_wants_the_same_classes(tmp_path: Path) -> None:
    run(replace(PLUGIN, epochs=1), tmp_path / "first")
    start = Checkpoint.load(tmp_path / "first" / "last.safetensors")
    still = replace(PLUGIN, epochs=1, lr=1e-12, seed=5, init="continue_training")
    run(still, tmp_path / "second", start=start)
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(
        torch.allclose(before[name], after[name], atol=1e-6)
        for name in before
        if not name.endswith(("running_mean", "running_var"))
    )
    others = replace(stripes_data(), labels=replace(LABELS, names=("a", "b", "c")))
    with pytest.raises(CheckpointError, match="the same classes: the weights have dark, red"):
        run(still, tmp_path / "third", start=start, data=others)


@pytest.mark.parametrize("init", ["transfer_learning", "continue_training"])
def test_weights_of_another_shape_are_refused(init: str, tmp_path: Path) -> None:
    run(replace(PLUGIN, epochs=1), tmp_path / "first")
    start = Checkpoint.load(tmp_path / "first" / "last.safetensors")
    wider = replace(PLUGIN, width=1 / 4, init=init)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=r"another shape: .* the network needs"):
        run(wider, tmp_path / "second", start=start)


def test_weights_with_batch_norm_do_not_continue_without(tmp_path: Path) -> None:
    run(replace(PLUGIN, epochs=1), tmp_path / "first")
    start = Checkpoint.load(tmp_path / "first" / "last.safetensors")
    without = replace(PLUGIN, use_batchnorm=False, init="continue_training")
    with pytest.raises(CheckpointError, match="what the network lacks"):
        run(without, tmp_path / "second", start=start)


def test_weights_of_another_variant_are_warned_of_and_do_not_continue(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(replace(PLUGIN, epochs=1), tmp_path / "first")
    start = Checkpoint.load(tmp_path / "first" / "last.safetensors")
    paper = replace(PLUGIN, epochs=1, variant="paper")
    run(paper, tmp_path / "second", start=start)
    assert "were trained with variant supervisely, now it is paper" in caplog.text
    with pytest.raises(CheckpointError, match=r"needs the same network: .* supervisely"):
        run(replace(paper, init="continue_training"), tmp_path / "third", start=start)


def change(name: str) -> Callable[[TrainSettings], TrainSettings]:
    values: dict[str, object] = {"lr": 0.1, "seed": 7, "epochs": 5}
    return lambda settings: replace(settings, **{name: values[name]})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["lr", "seed", "epochs"])
def test_going_on_with_other_settings_is_refused(name: str, tmp_path: Path) -> None:
    run(RECIPE, tmp_path, display=Silent(2))
    with pytest.raises(ConfigError, match="was begun with other settings"):
        run(change(name)(RECIPE), tmp_path, resume=True)


def test_going_on_with_other_data_is_refused(tmp_path: Path) -> None:
    run(RECIPE, tmp_path, display=Silent(2))
    with pytest.raises(ConfigError, match="was begun with other data"):
        run(RECIPE, tmp_path, data=stripes_data(num_train=11), resume=True)


def test_going_on_with_other_labels_is_refused_and_a_state_of_0_1_0_tells_none(
    tmp_path: Path,
) -> None:
    run(RECIPE, tmp_path, display=Silent(2))
    data = stripes_data()
    train = (*data.splits["train"][:5], Halved(data.splits["train"][5]), *data.splits["train"][6:])
    changed = replace(data, splits={**data.splits, "train": train})
    with pytest.raises(ConfigError, match="1 samples have changed, the first is 'stripes 5'"):
        run(RECIPE, tmp_path, data=changed, resume=True)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["told"]["data"]["content"]
    torch.save(state, tmp_path / "state.pt")
    assert run(RECIPE, tmp_path, data=changed, resume=True).finished


def test_nothing_is_begun_that_is_refused(tmp_path: Path) -> None:
    run(RECIPE, tmp_path, display=Silent(2))
    begun: list[str] = []
    for settings, resume in ((replace(RECIPE, lr=0.1), True), (RECIPE, True)):
        with suppress(ConfigError):
            run(settings, tmp_path, resume=resume, on_begin=lambda: begun.append("begun"))
    assert begun == ["begun"]


def with_loss(monkeypatch: pytest.MonkeyPatch, *losses: float) -> None:
    """Lets validations have these losses, one after the other."""
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
    run(settings, tmp_path)
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
        run(replace(RECIPE, epochs=1), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a lower lr"):
        run(replace(PLUGIN, epochs=1, batch_train=12, lr=1e38), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_full_disk_is_named_and_leaves_the_earlier_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(RECIPE, tmp_path, display=Silent(2))
    before = (tmp_path / "state.pt").read_bytes()

    def full(path: Path, content: Any) -> int:
        with path.open("wb") as file:
            file.write(bytes(content)[: 100 if "state" in path.name else None])
        if not path.name.startswith("state.pt"):
            return len(content)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        run(replace(RECIPE, checkpoint_every_steps=1), tmp_path, resume=True)
    assert caught.value.filename == str(tmp_path / "state.pt")
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_when_a_loader_is_killed_the_state_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = TrainBatches.batches

    def some(self: TrainBatches, first_step: int) -> Iterator[Batch]:
        yield from islice(batches(self, first_step), 2)
        raise LoaderError("a process was killed")

    monkeypatch.setattr(TrainBatches, "batches", some)
    with pytest.raises(LoaderError, match="killed; the state is saved, go on with --resume"):
        run(RECIPE, tmp_path / "parts")
    monkeypatch.undo()
    assert run(RECIPE, tmp_path / "parts", resume=True).finished
    run(RECIPE, tmp_path / "whole")
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_validation_samples_that_fail_are_failures_and_all_of_them_an_error(tmp_path: Path) -> None:
    data = stripes_data()
    broken = (Stripes(7, corrupted=True), Stripes(8, corrupted=True))
    settings = replace(PLUGIN, epochs=1, allow_corrupted_val=2)
    some = replace(data, splits={**data.splits, "val": (*data.splits["val"], *broken)})
    assert run(settings, tmp_path / "some", data=some).failures.keys() == {"stripes 7", "stripes 8"}
    with pytest.raises(ConfigError, match="not one validation sample can be used, the first:"):
        run(settings, tmp_path / "all", data=replace(data, splits={**data.splits, "val": broken}))


def test_going_on_with_other_threads_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    threads = torch.get_num_threads()
    run(RECIPE, tmp_path, display=Silent(2))
    try:
        torch.set_num_threads(threads + 1)
        run(RECIPE, tmp_path, resume=True)
    finally:
        torch.set_num_threads(threads)
    assert f"was begun with threads {threads}, goes on with {threads + 1}" in caplog.text


def test_a_state_that_is_damaged_or_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to resume"):
        run(RECIPE, tmp_path, resume=True)
    (tmp_path / "state.pt").write_bytes(b"no state")
    with pytest.raises(ConfigError, match=r"state\.pt: cannot be read"):
        run(RECIPE, tmp_path, resume=True)
    for other in ([1, 2], {"format": 1}, {"model": torch.zeros(2)}):
        torch.save(other, tmp_path / "state.pt")
        with pytest.raises(ConfigError, match=r"state\.pt: not the state of a training"):
            run(RECIPE, tmp_path, resume=True)
    run(RECIPE, tmp_path / "run", display=Silent(2))
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    for key in ("told", "progress", "model", "optimiser"):
        torch.save({**state, key: {}}, tmp_path / "state.pt")
        with pytest.raises(ConfigError, match=r"state\.pt: not the state of a training"):
            run(RECIPE, tmp_path, resume=True)


def test_lines_of_anything_in_the_metrics_are_dropped_when_it_goes_on(tmp_path: Path) -> None:
    run(RECIPE, tmp_path, display=Silent(2))
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + b'{"type": "train", "st\n[1]\n{}\n' + b"\0\xff" * 50)
    run(RECIPE, tmp_path, resume=True)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines if line["type"] == "train"] == list(range(1, 10))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_learns_too(precision: str, tmp_path: Path) -> None:
    display = Silent()
    settings = replace(RECIPE, precision=precision, epochs=4)  # type: ignore[arg-type]
    assert run(settings, tmp_path, display=display).finished
    assert np.mean(display.losses[-3:]) < 0.8 * np.mean(display.losses[:3])


@pytest.mark.gpu
def test_it_trains_on_cuda(tmp_path: Path) -> None:
    cuda = Ranks(rank=0, count=1, device=torch.device("cuda", 0))
    silent = Silent()
    result = train_network(
        replace(RECIPE, precision="bf16"),
        stripes_data(),
        tmp_path,
        ranks=cuda,
        start=None,
        resume=False,
        record={},
        display=silent,
        should_stop=silent.should_stop,
    )
    assert result.finished
