"""Training: settings, augmentation, loss, the loop, and its resumable state.

The trainer is imported on first use, so that settings can be read without PyTorch.
"""

from typing import TYPE_CHECKING, Any

from icstream.stages.train.settings import (
    Augmentation,
    Optimiser,
    PatienceSchedule,
    PolySchedule,
    TrainSettings,
)

if TYPE_CHECKING:
    from icstream.stages.train.trainer import Display, Trained, train

__all__ = [
    "Augmentation",
    "Display",
    "Optimiser",
    "PatienceSchedule",
    "PolySchedule",
    "TrainSettings",
    "Trained",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from icstream.stages.train import trainer

    return getattr(trainer, name)
