"""What a trainer is put together from, as the settings want it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from icstream.model import ConfigError, Fit, ICNet, LabelSet
from icstream.model.icnet import BranchLogits
from icstream.model.labels import Color
from icstream.model.loss import GuidedLoss, log_class_weights
from icstream.stages.data import VOID, LabeledData, Sample, SampleError
from icstream.stages.train.data_loading import TrainBatches, TrainViews, ValidationViews
from icstream.stages.train.metrics_log import MetricsLog
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.settings import TrainSettings

_MAX_SURVEYED = 500
"""Training samples that are looked at for class weights and sizes, evenly spread."""


_OFFSETS = {"log": 1.1, "steep": 1.02}


class Heads(nn.Module):
    """The network as training calls it: all three heads."""

    def __init__(self, model: ICNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, x_NCHW: Tensor) -> BranchLogits:
        """See `ICNet.branch_logits`."""
        return self.model.branch_logits(x_NCHW)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the training set is like."""

    pixels_K: Tensor
    """Labelled pixels of each class."""
    side: int
    """The usual shorter side of an image."""


def survey(samples: Sequence[Sample], num_classes: int) -> Survey:
    """Looks through the training set; samples that cannot be used are left to the loader."""
    pixels = np.zeros(256, np.int64)
    sides = []
    step = -(-len(samples) // _MAX_SURVEYED)
    for sample in samples[::step]:
        try:
            ids_HW = sample.load().ids_HW
        except SampleError:
            continue
        pixels += np.bincount(ids_HW.ravel(), minlength=256)
        sides.append(min(ids_HW.shape))
    return Survey(torch.from_numpy(pixels[:num_classes]), int(median(sides)) if sides else 0)


def make_fit(settings: TrainSettings, side: int) -> Fit:
    """Gives how images are shown to the trained network.

    Doubled are images that come closer, so, to the size that training saw: those whose shorter
    side is below sqrt(2) times that of its images.
    """
    if settings.augmentation is None:
        return Fit("stretch", settings.input_size)
    return Fit(double_below=round(2**0.5 * side) if settings.input_scale == 2 else 0)


def make_optimizer(model: ICNet, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return the optimizer; only weights of convolutions decay."""
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
    # Fused, a step of the optimizer takes two fifths of the time.
    return kind(groups, lr=settings.lr, fused=True)


def make_loss(
    settings: TrainSettings, found: Survey, labels: LabelSet, device: torch.device
) -> GuidedLoss:
    """Gives the loss.

    Raises:
        ConfigError: a weight for a class that is not there.
    """
    weights_K = _class_weights(settings, found, labels)
    return GuidedLoss(
        void=VOID,
        head_weights=settings.aux_weights,
        guidance=settings.label_guidance,
        class_weights_K=None if weights_K is None else weights_K.to(device),
        ohem=settings.ohem,
    )


def _class_weights(settings: TrainSettings, found: Survey, labels: LabelSet) -> Tensor | None:
    factors, offset = settings.class_factors, _OFFSETS.get(settings.class_weights)
    for name in factors:
        if name not in labels.names:
            raise ConfigError(
                f"class_factors: there is no class {name!r}; there are {', '.join(labels.names)}"
            )
    if offset is None and not factors:
        return None
    weights_K = torch.ones(len(labels))
    if offset is not None:
        weights_K = log_class_weights(found.pixels_K, offset)
    return weights_K * torch.tensor([factors.get(name, 1.0) for name in labels.names])


def make_loaders(
    settings: TrainSettings, data: LabeledData, fit: Fit, mean_color: Color, ranks: Ranks
) -> tuple[TrainBatches, ValidationViews]:
    """Gives the batches to train on and the views to validate on."""
    samples = data.split("train")
    batches = TrainBatches(
        TrainViews(samples, settings, fit, mean_color),
        num_samples=len(samples),
        settings=settings,
        mean_color=mean_color,
        rank=ranks.rank,
        ranks=ranks.count,
    )
    return batches, ValidationViews(data.split("val"), fit, mean_color)


def make_metrics_log(
    folder: Path, step: int, ranks: Ranks
) -> AbstractContextManager[MetricsLog | None]:
    """Gives the journal, on the rank that writes it."""
    return MetricsLog(folder, from_step=step) if ranks.first else nullcontext()


def settings_that_matter(settings: TrainSettings) -> str:
    """Return the settings that decide the weights, for comparison, as state files have them."""
    others = TrainSettings()
    text = repr(
        replace(
            settings,
            optimizer=replace(settings.optimizer, weight_decay=settings.optimizer.decay),
            workers_train=others.workers_train,
            workers_val=others.workers_val,
            checkpoint_every_steps=others.checkpoint_every_steps,
            keep_every_validation=others.keep_every_validation,
            gpu_devices=others.gpu_devices,
        )
    )
    # State files keep the spelling that they have had from the beginning.
    text = text.replace("optimizer=Optimizer(", "optimiser=Optimiser(")
    return text.replace(" color=", " colour=")
