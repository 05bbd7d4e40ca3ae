"""Training: settings, augmentation, loss, the loop, and its resumable state.

The trainer is imported on first use, so that settings can be read without PyTorch.
"""

from typing import TYPE_CHECKING, Any

from icstream.model.renamed import warn_renamed
from icstream.stages.train.settings import (
    Augmentation,
    Optimizer,
    Paste,
    PatienceSchedule,
    Photometric,
    PolySchedule,
    TrainSettings,
)

if TYPE_CHECKING:
    from icstream.stages.train.trainer import Display, Trained, train_network

__all__ = [
    "Augmentation",
    "Display",
    "Optimizer",
    "Paste",
    "PatienceSchedule",
    "Photometric",
    "PolySchedule",
    "TrainSettings",
    "Trained",
    "train_network",
]


def __getattr__(name: str) -> Any:
    if name == "Optimiser":
        warn_renamed("icstream.stages.train.Optimiser", "icstream.stages.train.Optimizer")
        return Optimizer
    if name == "train":
        warn_renamed("icstream.stages.train.train", "icstream.stages.train.train_network")
        name = "train_network"
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from icstream.stages.train import trainer

    return getattr(trainer, name)
