"""The changing state of a training, and its files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from icstream.model import Checkpoint, ConfigError, Fit, ICNet, LabelSet
from icstream.stages.train.ranks import Ranks
from icstream.stages.train.schedule import Patience, ValidationClock
from icstream.stages.train.state import (
    STATE_FILE,
    TrainPosition,
    check_fingerprint,
    load_state,
    save_state,
)
from icstream.stages.train.weights import WeightAverage

VALIDATIONS = "validations"
"""The folder for the weights of each validation."""


@dataclass(slots=True, kw_only=True)
class TrainState:
    """The state that changes from step to step; `load(state())` changes nothing."""

    model: ICNet
    """The network that is trained."""
    optimizer: torch.optim.Optimizer
    """The optimizer, with its moments."""
    scaler: torch.amp.GradScaler
    """The scaler that keeps fp16 gradients in range; it does nothing in other precisions."""
    average: WeightAverage | None
    """The moving average of weights; None if the settings have none."""
    clock: ValidationClock
    """The clock of validations."""
    patience: Patience | None
    """The rule that lowers the learning rate; None if the rate depends on the step."""
    position: TrainPosition
    """The position of the training."""

    @property
    def result(self) -> ICNet:
        """The network that is validated and saved."""
        return self.model if self.average is None else self.average.model

    def state(self) -> dict[str, Any]:
        """Return the state for `load`, as tensors and plain values."""
        position = replace(
            self.position,
            clock=self.clock.state(),
            patience={} if self.patience is None else self.patience.state(),
        )
        return {
            "progress": asdict(position),
            "model": self.model.state_dict(),
            "optimiser": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state(),
        }

    def load(self, values: Mapping[str, Any]) -> None:
        """Continue from a result of `state`."""
        self.model.load_state_dict(values["model"])
        for saved, own in zip(
            values["optimiser"]["param_groups"], self.optimizer.param_groups, strict=True
        ):
            saved["fused"] = own["fused"]  # the implementation is not part of the state
        self.optimizer.load_state_dict(values["optimiser"])
        self.scaler.load_state_dict(values["scaler"])
        if self.average is not None:
            self.average.load(values["average"])
        self.position = TrainPosition(**values["progress"])
        self.clock.load(self.position.clock)
        if self.patience is not None:
            self.patience.load(self.position.patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """The state and weight files of a run, which one rank writes."""

    path: Path
    """The folder, which exists."""
    ranks: Ranks
    """This process's rank; only the first one writes."""
    fingerprint: Mapping[str, Any]
    """The settings, data and environment, which must be equal to resume the run."""
    labels: LabelSet
    """The classes, for the header of the weights."""
    fit: Fit
    """The fit of images, for the header of the weights."""
    record: Mapping[str, Any]
    """Other entries for the header of the weights, as JSON values."""

    def restore(self, state: TrainState) -> None:
        """Load the state in the folder.

        Raises:
            ConfigError: There is none, it is damaged, or it belongs to a run with other settings,
                data or ranks.
        """
        values = load_state(self.path)
        try:
            check_fingerprint(self.path, values["told"], self.fingerprint)
            state.load(values)
        except (LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise ConfigError(f"{self.path / STATE_FILE}: not the state of a training") from error

    def save_state(self, state: TrainState) -> None:
        """Write state.pt, from which the run can be resumed."""
        if self.ranks.first:
            save_state(self.path, state.state(), self.fingerprint)

    def save_weights(
        self, network: ICNet, *, best: bool, number: int | None, training: Mapping[str, Any]
    ) -> None:
        """Write the weights as last.safetensors, and under up to two other names.

        Args:
            network: The network whose weights are saved.
            best: Whether to write best.safetensors too.
            number: The number of the validation under which to write them too, or None.
            training: A description of the training, for the header besides `record`, as JSON
                values.
        """
        if not self.ranks.first:
            return
        names = ["last"] + ["best"] * best
        if number is not None:
            (self.path / VALIDATIONS).mkdir(exist_ok=True)
            names.append(f"{VALIDATIONS}/{number:08d}")
        for name in names:
            checkpoint = Checkpoint.of(
                network, self.labels, training={**self.record, **training}, fit=self.fit
            )
            checkpoint.save(self.path / f"{name}.safetensors", durable=True)
