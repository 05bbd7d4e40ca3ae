"""The fingerprint of a training: what must be the same for it to go on."""

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
    """Return settings, data and environment, as state files have them.

    Args:
        settings: all but the data.
        data: with the splits "train" and "val".
        measured: what the samples of each split are like.
        ranks: this process's place among those that train together.
    """
    names = {split: [sample.name for sample in data.split(split)] for split in measured}
    content = {split: dict(statistics.digests) for split, statistics in measured.items()}
    return {
        "settings": settings_that_matter(settings),
        "data": {"names": names, "classes": list(data.labels.names), "content": content},
        "environment": environment(ranks),
    }


def settings_that_matter(settings: TrainSettings) -> str:
    """Return the settings that decide the weights, for comparison, as state files have them."""
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
    # State files keep the spelling that they have had from the beginning.
    text = text.replace("optimizer=Optimizer(", "optimiser=Optimiser(")
    return text.replace(" color=", " colour=")


def _text(value: object) -> str:
    """Return the value's `repr` without settings that came after 0.1.0 and have their defaults.

    So a training that was begun without them goes on.
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
