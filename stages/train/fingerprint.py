"""The fingerprint of a training, which must be equal to resume it."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from icstream.stages.data import LabeledData
from icstream.stages.train.measure import SampleStatistics
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.settings import TrainSettings
from icstream.stages.train.state import environment


def fingerprint_of(
    settings: TrainSettings,
    data: LabeledData,
    measured: Mapping[str, SampleStatistics],
    ranks: Ranks,
) -> dict[str, Any]:
    """Return the settings, data and environment in the form of state files.

    Args:
        settings: The settings of the training.
        data: The data set, with the splits "train" and "val".
        measured: The statistics of the samples of each split.
        ranks: This process's rank.
    """
    names = {split: [sample.name for sample in data.split(split)] for split in measured}
    content = {split: dict(statistics.digests) for split, statistics in measured.items()}
    return {
        "settings": settings_that_matter(settings),
        "data": {"names": names, "classes": list(data.labels.names), "content": content},
        "environment": environment(ranks),
    }


def settings_that_matter(settings: TrainSettings) -> str:
    """Return the settings that affect the weights, in the form of state files, for comparison."""
    others = TrainSettings()
    text = _text(
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
    # State files keep their original spelling.
    text = text.replace("optimizer=Optimizer(", "optimiser=Optimiser(")
    return text.replace(" color=", " colour=")


def _text(value: object) -> str:
    """Return the value's `repr` without settings added after 0.1.0 that have their defaults.

    This allows to resume trainings that were started without them.
    """
    if not is_dataclass(value):
        return repr(value)
    added: frozenset[str] = getattr(type(value), "ADDED", frozenset())
    parts = [
        f"{field.name}={_text(getattr(value, field.name))}"
        for field in fields(value)
        if field.name not in added or getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(parts)})"
