"""The training loop on small images: it learns, reports, validates and saves."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from icstream.model import Checkpoint, Fit, ICNet, Segmenter
from icstream.model.icnet import Features
from icstream.stages.confusion import Confusion
from icstream.stages.data import Sample
from icstream.stages.train import PatienceSchedule, PolySchedule
from icstream.stages.train.ranks import Ranks
from support.stripes import LABELS, Halved, stripes_data
from support.trainings import PLUGIN, RECIPE, Silent, equal_tensors, read_tensors, train_stripes


@pytest.mark.slow
def test_it_learns_and_the_file_that_it_writes_segments_as_it_validated(tmp_path: Path) -> None:
    settings = replace(RECIPE, epochs=12, val_every=12)
    result = train_stripes(settings, tmp_path)
    assert result.finished
    assert result.validation is not None
    assert result.validation.confusion.miou() > 0.7
    segmenter = Segmenter(Checkpoint.load(tmp_path / "best.safetensors"), runtime="torch")
    confusion = Confusion(len(LABELS))
    for sample in stripes_data().split("val"):
        image = sample.load()
        confusion.add(segmenter(image.rgb_HW3), image.ids_HW)
    assert np.abs(confusion.counts - result.validation.confusion.counts).sum() <= 20


def test_each_step_reports_its_losses_and_each_validation_its_scores(tmp_path: Path) -> None:
    train_stripes(RECIPE, tmp_path)
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
    result = train_stripes(replace(RECIPE, epochs=1, val_every=7), tmp_path, display=display)
    assert display.validations == [1]
    assert result.validation is not None
    assert (tmp_path / "last.safetensors").exists()
    assert (tmp_path / "best.safetensors").exists()


@pytest.mark.slow
def test_validations_are_kept_on_request(tmp_path: Path) -> None:
    train_stripes(replace(RECIPE, keep_every_validation=True), tmp_path)
    kept = sorted(path.name for path in (tmp_path / "validations").iterdir())
    assert kept == [f"{i:08d}.safetensors" for i in range(3)]
    last = Checkpoint.load(tmp_path / "validations" / kept[-1])
    assert equal_tensors({k: last.tensors[k] for k in last.tensors}, read_tensors(tmp_path))


def test_weights_hold_the_fit_of_images(tmp_path: Path) -> None:
    train_stripes(replace(PLUGIN, epochs=1), tmp_path / "plugin")
    train_stripes(replace(RECIPE, epochs=1), tmp_path / "native")
    train_stripes(replace(RECIPE, epochs=1, input_scale=2), tmp_path / "doubled")
    fits = [
        Checkpoint.load(tmp_path / name / "last.safetensors").fit
        for name in ("plugin", "native", "doubled")
    ]
    # Stripes are 80 pixels high; up to sqrt(2) times that, twice the size is the nearer one.
    assert fits == [Fit("stretch", (97, 129)), Fit(), Fit(double_below=113)]


@pytest.mark.slow
def test_neutral_pixels_do_not_train(tmp_path: Path) -> None:
    """Half of the pixels are void; what the image shows there must reach no classifier."""
    data = stripes_data()
    splits: dict[str, tuple[Sample, ...]] = {
        split: tuple(Halved(sample) for sample in samples) for split, samples in data.splits.items()
    }
    result = train_stripes(replace(PLUGIN, epochs=1), tmp_path, data=replace(data, splits=splits))
    assert result.validation is not None
    # 3 images of 80x100: two rows are void in all of them, and here the right half too.
    assert result.validation.confusion.counts.sum() == 3 * 78 * 50
    nothing = {split: tuple(Halved(s, whole=True) for s in data.splits[split]) for split in splits}
    still = replace(PLUGIN, epochs=1, use_batchnorm=False)
    for name, lr in (("slow", 1e-12), ("fast", 1e-2)):
        settings = replace(still, lr=lr)
        train_stripes(
            settings, tmp_path / name, data=replace(data, splits={**data.splits, **nothing})
        )
    slow, fast = read_tensors(tmp_path / "slow"), read_tensors(tmp_path / "fast")
    assert all(torch.allclose(slow[name], fast[name], atol=1e-6) for name in slow)


@pytest.mark.slow
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
    train_stripes(settings, tmp_path, display=display)
    assert len(made) == 1
    assert display.rates[0] == 0.1
    assert display.rates[-1] < 0.1
    assert all(
        after in (before, pytest.approx(before / 10))
        for before, after in zip(display.rates, display.rates[1:], strict=False)
    )


@pytest.mark.slow
def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        torch.manual_seed(len(name))  # the process's own random state is of no consequence
        np.random.seed(len(name))
        train_stripes(replace(RECIPE, epochs=1, seed=seed), tmp_path / name)
    assert equal_tensors(read_tensors(tmp_path / "one"), read_tensors(tmp_path / "same"))
    assert not equal_tensors(read_tensors(tmp_path / "one"), read_tensors(tmp_path / "other"))


def test_validation_keeps_no_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []
    features = ICNet.features

    def watch(self: ICNet, x_NCHW: torch.Tensor) -> Features:
        found = features(self, x_NCHW)
        seen.append((self.training, found.fused12_NCHW.requires_grad))
        return found

    monkeypatch.setattr(ICNet, "features", watch)
    train_stripes(replace(PLUGIN, epochs=1), tmp_path)
    assert set(seen) == {(True, True), (False, False)}


@pytest.mark.slow
def test_poly_warms_up_and_falls_to_almost_nothing(tmp_path: Path) -> None:
    display = Silent()
    train_stripes(
        replace(RECIPE, schedule=PolySchedule(warm_up_share=0.3)), tmp_path, display=display
    )
    top = int(np.argmax(display.rates))
    assert 0 < top < 4
    assert display.rates[top] == pytest.approx(4e-3)
    assert display.rates[-1] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_learns_too(precision: str, tmp_path: Path) -> None:
    display = Silent()
    settings = replace(RECIPE, precision=precision, epochs=4)  # type: ignore[arg-type]
    assert train_stripes(settings, tmp_path, display=display).finished
    assert np.mean(display.losses[-3:]) < 0.8 * np.mean(display.losses[:3])


@pytest.mark.gpu
def test_it_trains_on_cuda(tmp_path: Path) -> None:
    cuda = Ranks(rank=0, count=1, device=torch.device("cuda", 0))
    result = train_stripes(replace(RECIPE, precision="bf16"), tmp_path, ranks=cuda)
    assert result.finished
