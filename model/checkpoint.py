"""Checkpoints: weights, and the metadata that is needed to use them."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from icstream.model.activation_ranges import Ranges
from icstream.model.errors import CheckpointError, ConfigError
from icstream.model.geometry import Fit
from icstream.model.icnet_config import ICNetConfig
from icstream.model.labels import CITYSCAPES, LabelSet
from icstream.model.lazy_tensors import StoredTensors
from icstream.model.weight_shapes import is_weight, shape_faults

if TYPE_CHECKING:
    from torch import Tensor

    from icstream.model.icnet import ICNet

# PyTorch is imported where it is needed: running a network that is already compiled does not need
# it.


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The conversion of pixels to network input: `(value - mean) / std`, channels in `order`."""

    mean_rgb: tuple[float, float, float] = (123.68, 116.779, 103.939)
    std_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    order: Literal["rgb", "bgr"] = "bgr"

    def __post_init__(self) -> None:
        if len(self.mean_rgb) != 3 or len(self.std_rgb) != 3:
            raise ConfigError("preprocessing: mean_rgb and std_rgb need three values each")
        deviations_fit = all(0 < value < math.inf for value in self.std_rgb)
        if not all(0 <= value <= 255 for value in self.mean_rgb) or not deviations_fit:
            raise ConfigError(
                f"preprocessing: got mean_rgb {self.mean_rgb} and std_rgb {self.std_rgb},"
                " allowed are means 0..255 and positive deviations"
            )
        if self.order not in get_args(Literal["rgb", "bgr"]):
            raise ConfigError(f"preprocessing: order must be rgb or bgr, got {self.order!r}")


@dataclass(frozen=True, slots=True)
class Agreement:
    """The measured agreement of a lower precision with fp32 on the same images."""

    pixels: float
    """The share of pixels with the same class, 0 to 1."""
    miou_points: float
    """The mIoU minus that of fp32, in percentage points; negative is worse."""
    measured_on: str
    """A description of the images, runtime and CPU."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Weights, and the metadata that is needed to use them."""

    config: ICNetConfig
    labels: LabelSet
    tensors: "Mapping[str, Tensor]"
    """The state of `ICNet`, in any float type, without batch norm's step counters."""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    training: Mapping[str, Any] = field(default_factory=dict)
    """A description of the training, as plain JSON values."""
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    """The measured agreement with fp32, by precision ("bf16", ...)."""
    fit: Fit = field(default_factory=Fit)
    """The fit of images in training, which inference repeats."""
    ranges: Ranges | None = None
    """The activation ranges for int8; None: the weights were not calibrated."""

    def __post_init__(self) -> None:
        if len(self.labels) != self.config.num_classes:
            raise CheckpointError(
                f"the network has {self.config.num_classes} classes, its label set"
                f" {len(self.labels)}"
            )

    @classmethod
    def of(
        cls,
        model: "ICNet",
        labels: LabelSet,
        *,
        training: Mapping[str, Any],
        fit: Fit | None = None,
    ) -> Self:
        """Return a checkpoint with a copy of the current weights of `model`."""
        tensors = {
            name: tensor.detach().cpu().clone()
            for name, tensor in model.state_dict().items()
            if is_weight(name)
        }
        return cls(model.config, labels, tensors, training=training, fit=fit or Fit())

    @staticmethod
    def load(path: Path) -> "Checkpoint":
        """Return the checkpoint in a file, as `checkpoint_file.read_checkpoint` does."""
        from icstream.model.checkpoint_file import read_checkpoint

        return read_checkpoint(path)

    def save(self, path: Path, *, durable: bool = False) -> None:
        """Write the checkpoint to a file, as `checkpoint_file.write_checkpoint` does."""
        from icstream.model.checkpoint_file import write_checkpoint

        write_checkpoint(self, path, durable=durable)

    def half(self) -> Self:
        """Return a copy with weights in float16: half the size, precise enough for inference."""
        tensors = {name: self.tensors[name].half() for name in self.tensors}
        return replace(self, tensors=tensors)

    def digest(self) -> str:
        """Return the SHA-256 of everything that determines the masks, in hexadecimal."""
        settings: list[Any] = [asdict(self.config), asdict(self.preprocessing), self.labels.names]
        if self.ranges is not None:
            settings.append(dict(self.ranges.highs))
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(self._values(name).tobytes())
        return digest.hexdigest()

    def problems(self) -> list[str]:
        """Return a clause for each way in which the tensors do not fit the network."""
        if isinstance(self.tensors, StoredTensors):
            got = {name: self.tensors.shape(name) for name in self.tensors}
        else:
            got = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        return shape_faults(got, self.config)

    def build(self) -> "ICNet":
        """Return the network with these weights, in float32 and evaluation mode."""
        from icstream.model.icnet import ICNet

        model = ICNet(self.config)
        # Only the step counters, which Checkpoint leaves out, may be missing.
        model.load_state_dict({k: v.float() for k, v in self.tensors.items()}, strict=False)
        return model.eval()

    def _values(self, name: str) -> NDArray[np.float32]:
        if isinstance(self.tensors, StoredTensors):
            return self.tensors.float32(name)
        return np.asarray(self.tensors[name].float().contiguous().numpy(), np.float32)


def random_checkpoint(seed: int = 0) -> Checkpoint:
    """Return untrained weights in the shape of the released network: paper variant, Cityscapes."""
    from icstream.model.icnet import ICNet, initialize

    model = ICNet(ICNetConfig(num_classes=len(CITYSCAPES)))
    initialize(model, seed=seed)
    return Checkpoint.of(model, CITYSCAPES, training={"seed": seed, "steps": 0})
