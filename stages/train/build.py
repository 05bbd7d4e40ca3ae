"""Construction of a training from settings and data."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from icstream.model import Checkpoint, ConfigError, Fit, ICNet, LabelSet, Preprocessing
from icstream.model.labels import Color
from icstream.model.loss import GuidedLoss, log_class_weights
from icstream.stages.data import VOID, LabeledData
from icstream.stages.train.checkpointing import TrainState
from icstream.stages.train.data_loading import TrainBatches, TrainViews, ValidationViews
from icstream.stages.train.fingerprint import fingerprint_of
from icstream.stages.train.inputs import InputNorm
from icstream.stages.train.measure import (
    SampleStatistics,
    measure_samples,
    spread_evenly,
    warn_of_absent_classes,
)
from icstream.stages.train.paste import CutOut, cut_out_objects
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.schedule import Patience, ValidationClock
from icstream.stages.train.settings import PatienceSchedule, TrainSettings
from icstream.stages.train.state import TrainPosition
from icstream.stages.train.weights import WeightAverage, build_network

log = logging.getLogger(__name__)

_OFFSETS = {"log": 1.1, "steep": 1.02}
"""The offsets of `log_class_weights`, by the setting `class_weights`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSetup:
    """The constant parts of a training."""

    settings: TrainSettings
    labels: LabelSet
    ranks: Ranks
    fit: Fit
    """The fit of images to the trained network."""
    norm: InputNorm
    loss: GuidedLoss
    batches: TrainBatches
    """This rank's training batches."""
    val_views: ValidationViews
    """The validation samples."""
    fingerprint: Mapping[str, Any]
    """The settings, data and environment, which must be equal to resume a run."""


def build_training(
    settings: TrainSettings, data: LabeledData, *, ranks: Ranks, start: Checkpoint | None
) -> tuple[TrainSetup, TrainState]:
    """Return the parts of a training before its first step.

    Args:
        settings: The settings of the training.
        data: The data set, with the splits "train" and "val".
        ranks: This process's rank.
        start: The initial weights, used as `settings.init` states; None: random ones.

    Raises:
        ConfigError: Settings or weights do not fit the data, or a package that settings need is not
            installed.
    """
    check_packages(settings)
    samples = data.split("train")
    measured = {
        split: measure_samples(data.split(split), len(data.labels)) for split in ("train", "val")
    }
    statistics = measured["train"]
    if ranks.first:
        warn_of_absent_classes(data, statistics)
    fit = make_fit(settings, statistics.side)
    preprocessing = Preprocessing()
    red, green, blue = (round(value) for value in preprocessing.mean_rgb)
    mean_color: Color = (red, green, blue)
    batches = TrainBatches(
        views=TrainViews(
            samples, settings, fit, mean_color, objects=objects_to_paste(settings, data)
        ),
        num_samples=len(samples),
        settings=settings,
        mean_color=mean_color,
        rank=ranks.rank,
        ranks=ranks.count,
    )
    state = _make_state(
        settings, data.labels, start, steps_per_epoch=batches.steps_per_epoch, ranks=ranks
    )
    setup = TrainSetup(
        settings=settings,
        labels=data.labels,
        ranks=ranks,
        fit=fit,
        norm=InputNorm(preprocessing, ranks.device, settings.precision),
        loss=make_loss(settings, statistics, data.labels, ranks.device),
        batches=batches,
        val_views=ValidationViews(data.split("val"), fit, mean_color),
        fingerprint=fingerprint_of(settings, data, measured, ranks),
    )
    return setup, state


def check_packages(settings: TrainSettings) -> None:
    """Import packages that only some settings need, to detect missing ones before images are read.

    Raises:
        ConfigError: A package is not installed, or does not fit PyTorch.
    """
    if settings.augmentation is not None and settings.augmentation.photometric is not None:
        import icstream.stages.train.photometric  # noqa: F401


def objects_to_paste(
    settings: TrainSettings, data: LabeledData
) -> Mapping[int, Sequence[CutOut]] | None:
    """Return the objects to paste by class, or None if the settings have none.

    Raises:
        ConfigError: A class does not exist, or there is no object of any class.
    """
    paste = settings.augmentation.paste if settings.augmentation else None
    if paste is None:
        return None
    class_ids = _class_ids(paste.classes, data.labels, setting="augmentation.paste.classes")
    objects = cut_out_objects(spread_evenly(data.split("train")), class_ids)
    if not objects:
        raise ConfigError(
            f"augmentation.paste.classes: no object of {', '.join(paste.classes)} to cut out"
        )
    return objects


def _class_ids(names: Iterable[str], labels: LabelSet, *, setting: str) -> list[int]:
    """Return the ids of the classes that a setting names.

    Raises:
        ConfigError: One of them does not exist.
    """
    for name in names:
        if name not in labels.names:
            raise ConfigError(
                f"{setting}: there is no class {name!r}; there are {', '.join(labels.names)}"
            )
    return [labels.names.index(name) for name in names]


def make_fit(settings: TrainSettings, side: int) -> Fit:
    """Return the fit of images to the trained network.

    If training doubled its images, those are doubled that are then closer to the size in training:
    those with a shorter side below sqrt(2) times `side`, that of the training images.
    """
    if settings.augmentation is None:
        return Fit("stretch", settings.input_size)
    return Fit(double_below=round(2**0.5 * side) if settings.input_scale == 2 else 0)


def make_optimizer(model: ICNet, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return the optimizer, with decay of convolution weights only."""
    optimizer = settings.optimizer
    weights = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": optimizer.decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if optimizer.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=optimizer.momentum)
    kind = torch.optim.AdamW if optimizer.name == "adamw" else torch.optim.Adam
    # A fused step of the optimizer takes two fifths of the time.
    return kind(groups, lr=settings.lr, fused=True)


def make_loss(
    settings: TrainSettings, statistics: SampleStatistics, labels: LabelSet, device: torch.device
) -> GuidedLoss:
    """Return the loss.

    Raises:
        ConfigError: There is a weight for a class that does not exist.
    """
    weights_K = _class_weights(settings, statistics, labels)
    return GuidedLoss(
        void=VOID,
        head_weights=settings.aux_weights,
        guidance=settings.label_guidance,
        class_weights_K=None if weights_K is None else weights_K.to(device),
        ohem=settings.ohem,
        label_smoothing=settings.label_smoothing,
    )


def _class_weights(
    settings: TrainSettings, statistics: SampleStatistics, labels: LabelSet
) -> Tensor | None:
    factors, offset = settings.class_factors, _OFFSETS.get(settings.class_weights)
    _class_ids(factors, labels, setting="class_factors")
    if offset is None and not factors:
        return None
    weights_K = torch.ones(len(labels))
    if offset is not None:
        weights_K = log_class_weights(statistics.pixels_K, offset)
    return weights_K * torch.tensor([factors.get(name, 1.0) for name in labels.names])


def _make_state(
    settings: TrainSettings,
    labels: LabelSet,
    start: Checkpoint | None,
    *,
    steps_per_epoch: int,
    ranks: Ranks,
) -> TrainState:
    """Return the state before the first step."""
    model, fresh = build_network(settings, labels, start)
    if start is not None and fresh:
        log.info("%d tensors are not in the weights and start randomly", len(fresh))
    if ranks.count > 1 and ranks.device.type == "cuda":  # there is no SyncBN on CPUs
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    model = model.to(ranks.device).to(memory_format=torch.channels_last).train()
    schedule = settings.schedule
    return TrainState(
        model=model,
        optimizer=make_optimizer(model, settings),
        scaler=torch.amp.GradScaler(ranks.device.type, enabled=settings.precision == "fp16"),
        average=None if settings.ema is None else WeightAverage(model, settings.ema),
        clock=ValidationClock(val_every=settings.val_every, steps_per_epoch=steps_per_epoch),
        patience=Patience(schedule) if isinstance(schedule, PatienceSchedule) else None,
        position=TrainPosition(lr=settings.lr),
    )
