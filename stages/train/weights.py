"""The initial weights of a training, and their moving average."""

import logging
from collections.abc import Sequence
from typing import Any

import torch

from icstream.model import Checkpoint, CheckpointError, ICNet, ICNetConfig, LabelSet, Preprocessing
from icstream.model.icnet import initialize
from icstream.stages.train.settings import TrainSettings

log = logging.getLogger(__name__)

_CLASSIFIERS = ("classifier.", "cff24.aux.", "cff12.aux.")
_MAX_NAMED = 5


def build_network(
    settings: TrainSettings, labels: LabelSet, start: Checkpoint | None
) -> tuple[ICNet, list[str]]:
    """Return the network to train, and the names of tensors that remain random.

    A warning is logged for weights that were trained in another graph or on other inputs.

    Raises:
        CheckpointError: The initial weights do not fit, or `continue_training` cannot use them.
    """
    model = ICNet(
        ICNetConfig(
            num_classes=len(labels),
            variant=settings.variant,
            width=settings.width,
            use_batchnorm=settings.use_batchnorm,
        )
    )
    initialize(model, seed=settings.seed)
    fresh = [] if start is None else _take_over(model, start, labels, settings.init)
    return model, fresh


def _take_over(model: ICNet, start: Checkpoint, labels: LabelSet, init: str) -> list[str]:
    if init == "continue_training" and start.labels.names != labels.names:
        raise CheckpointError(
            "continue_training needs the same classes: the weights have"
            f" {', '.join(start.labels.names)}, the data {', '.join(labels.names)}"
        )
    state = model.state_dict()
    taken = {
        name: tensor.float()
        for name, tensor in start.tensors.items()
        if init == "continue_training" or not name.startswith(_CLASSIFIERS)
    }
    unknown = [name for name in taken if name not in state]
    if unknown and init == "continue_training":
        raise CheckpointError(f"the weights have tensors that the network lacks: {_some(unknown)}")
    if differences := _differences(start, model.config):
        text = f"the weights were trained with {', '.join(differences)}"
        if init == "continue_training":
            raise CheckpointError(f"continue_training needs the same network: {text}")
        log.warning("%s; they may be unsuitable", text)
    taken = {name: tensor for name, tensor in taken.items() if name in state}
    wrong = [
        f"{name} is {tuple(tensor.shape)}, the network needs {tuple(state[name].shape)}"
        for name, tensor in taken.items()
        if tensor.shape != state[name].shape
    ]
    if wrong:
        raise CheckpointError(f"the weights are of another shape: {_some(wrong)}")
    model.load_state_dict(taken, strict=False)
    return [
        name for name in state if name not in taken and not name.endswith("num_batches_tracked")
    ]


def _differences(start: Checkpoint, config: ICNetConfig) -> list[str]:
    """Return a clause for each difference in the use of weights, by their header."""
    pairs = {
        "variant": (start.config.variant, config.variant),
        "use_batchnorm": (start.config.use_batchnorm, config.use_batchnorm),
        "preprocessing": (start.preprocessing, Preprocessing()),
    }
    return [f"{name} {was}, now {now}" for name, (was, now) in pairs.items() if was != now]


def all_finite(model: ICNet) -> bool:
    """Return whether every weight of a network is a finite number."""
    floats = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    return all(bool(torch.isfinite(tensor).all()) for tensor in floats)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


class WeightAverage:
    """The exponential moving average of weights and batch norm's statistics.

    The decay is at most (1 + n) / (10 + n) at update n, so that the first weights fade quickly.
    """

    def __init__(self, model: ICNet, decay: float) -> None:
        """Start with the current weights."""
        self.model = ICNet(model.config).to(next(model.parameters()).device)
        self.model.load_state_dict(model.state_dict())
        self.model.eval().requires_grad_(False)
        self._decay = decay
        self._num_updates = 0

    @torch.no_grad()
    def update(self, model: ICNet) -> None:
        """Move the average towards the current weights."""
        self._num_updates += 1
        decay = min(self._decay, (1 + self._num_updates) / (10 + self._num_updates))
        ours, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_(
            [ours[name] for name in floats], [theirs[name] for name in floats], 1 - decay
        )

    def state(self) -> dict[str, Any]:
        """Return the state for `load`."""
        return {"num_updates": self._num_updates, "tensors": self.model.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a result of `state`."""
        self._num_updates = state["num_updates"]
        self.model.load_state_dict(state["tensors"])
