"""Small trainings for tests: settings, a recording display, and readers of results."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from icstream.model import Checkpoint, ConfigError
from icstream.stages.data import LabeledData
from icstream.stages.train import (
    Augmentation,
    Optimizer,
    PolySchedule,
    Trained,
    TrainSettings,
    train_network,
)
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.validate import Validation
from support.stripes import stripes_data

ALONE = Ranks(rank=0, count=1, device=torch.device("cpu"))
RECIPE = TrainSettings(
    epochs=3,
    batch_train=4,
    batch_val=2,
    workers_train=0,
    workers_val=0,
    input_size=(65, 97),
    val_every=1,
    lr=4e-3,
    optimizer=Optimizer(name="adamw", weight_decay=0.01, clip_norm=5),
    schedule=PolySchedule(),
    augmentation=Augmentation(scale=(0.8, 1.5), color=0.2, whole_frames_share=0.2),
    variant="paper",
    width=1 / 8,
    label_guidance="shrunk",
    class_weights="log",
    ema=0.9,
)
PLUGIN = replace(
    TrainSettings(),
    epochs=2,
    batch_train=4,
    workers_train=0,
    workers_val=0,
    input_size=(97, 129),
    width=1 / 8,
    lr=2e-3,
)
SMALL_BATCHES = replace(PLUGIN, use_batchnorm=False, batch_train=2, lr=1e-4)
"""Settings whose steps do not depend on how the batches are spread over processes."""


def has_torchvision() -> bool:
    """Return whether there is a torchvision that fits PyTorch."""
    try:
        import icstream.stages.train.photometric  # noqa: F401
    except ConfigError:
        return False
    return True


class Silent:
    """A display that shows nothing but records its calls."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.validations: list[float] = []
        self._stop_at = stop_at
        self._step = 0

    def step(self, step: int, _num_steps: int, loss: float, lr: float) -> None:
        self._step = step
        self.losses.append(loss)
        self.rates.append(lr)

    def validation(self, epoch: float, _validation: Validation, *, best: bool) -> None:
        assert best in (True, False)
        self.validations.append(epoch)

    def should_stop(self) -> bool:
        return self._stop_at is not None and self._step >= self._stop_at


def train_stripes(
    settings: TrainSettings,
    folder: Path,
    *,
    data: LabeledData | None = None,
    start: Checkpoint | None = None,
    resume: bool = False,
    display: Silent | None = None,
    ranks: Ranks = ALONE,
    on_begin: Callable[[], None] = lambda: None,
) -> Trained:
    """Train in this process, by default on the CPU and with images of stripes."""
    folder.mkdir(exist_ok=True)
    display = display or Silent()
    return train_network(
        settings,
        data or stripes_data(),
        folder,
        ranks=ranks,
        start=start,
        resume=resume,
        record={},
        display=display,
        should_stop=display.should_stop,
        on_begin=on_begin,
    )


def read_tensors(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    """Return the weights that a training wrote."""
    checkpoint = Checkpoint.load(folder / f"{name}.safetensors")
    return {key: checkpoint.tensors[key] for key in checkpoint.tensors}


def equal_tensors(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    """Return whether all bits are equal."""
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl without measured times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
