"""Checkpoints: one safetensors file that says in its header all that is needed to use it."""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from icstream.model.activation_ranges import Ranges
from icstream.model.cache import cache_dir, keep
from icstream.model.errors import CheckpointError, ConfigError
from icstream.model.files import write_atomically
from icstream.model.geometry import Fit
from icstream.model.icnet_config import ICNetConfig
from icstream.model.labels import CITYSCAPES, LabelSet
from icstream.model.lazy_tensors import StoredTensors

if TYPE_CHECKING:
    from torch import Tensor

    from icstream.model.icnet import ICNet

# PyTorch is imported where it is needed: to run a network that was compiled before, it is not.

FORMAT_VERSION = 1
_HEADER_KEY = "icstream"
_MAX_NAMED = 5
"""So many tensor names are spelled out in an error before it says "and N more"."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How pixels become the network's input: `(value - mean) / std`, channels in `order`."""

    mean_rgb: tuple[float, float, float] = (123.68, 116.779, 103.939)
    std_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    order: Literal["rgb", "bgr"] = "bgr"

    def __post_init__(self) -> None:
        if len(self.mean_rgb) != 3 or len(self.std_rgb) != 3:
            raise ConfigError("preprocessing: mean_rgb and std_rgb need three values each")
        if not all(0 <= value <= 255 for value in self.mean_rgb) or min(self.std_rgb) <= 0:
            raise ConfigError(
                f"preprocessing: got mean_rgb {self.mean_rgb} and std_rgb {self.std_rgb},"
                " allowed are means 0..255 and positive deviations"
            )
        if self.order not in get_args(Literal["rgb", "bgr"]):
            raise ConfigError(f"preprocessing: order is rgb or bgr, got {self.order!r}")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close a lower precision was measured to come to fp32 on the same frames."""

    pixels: float
    """Share of pixels with the same class, 0 to 1."""
    miou_points: float
    """mIoU against the labels minus that of fp32, in percentage points; negative is worse."""
    measured_on: str
    """The frames, runtime and processor, for people."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Weights, and what must be known to use them."""

    config: ICNetConfig
    labels: LabelSet
    tensors: "Mapping[str, Tensor]"
    """State of `ICNet`, in any float type, without batch norm's step counters."""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained, as plain JSON values."""
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    """By precision ("bf16", ...)."""
    fit: Fit = field(default_factory=Fit)
    """How images were shown to it in training, and are to be shown."""
    ranges: Ranges | None = None
    """What int8 needs; None: it was not calibrated."""

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
        """Takes the weights of `model` as they are now; they are copied."""
        tensors = {
            name: tensor.detach().cpu().clone()
            for name, tensor in model.state_dict().items()
            if _is_weight(name)
        }
        return cls(model.config, labels, tensors, training=training, fit=fit or Fit())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads and checks a checkpoint file.

        Raises:
            CheckpointError: not a safetensors file, not one of ours, or tensors that do not fit
                the network that the header describes; the text names what is wrong.
        """
        try:
            content = path.read_bytes()
            tensors = StoredTensors(deserialize(content))  # type: ignore[no-untyped-call]
        except FileNotFoundError as error:
            raise CheckpointError(f"{path}: no such file") from error
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path}: not a safetensors file ({error})") from error
        header = _metadata(content).get(_HEADER_KEY)
        if header is None:
            raise CheckpointError(
                f"{path}: no icstream header in it; foreign weights must be converted first"
            )
        checkpoint = cls._from_header(path, header, tensors)
        # Comparing with the network takes PyTorch; what was compared once need not be again.
        try:
            name = f"checked-{checkpoint.digest()}"
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from error
        if not (cache_dir() / name).exists():
            problems = checkpoint.problems()
            if problems:
                raise CheckpointError(f"{path}: {'; '.join(problems)}")
            keep(name, lambda file: file.touch())
        return checkpoint

    @classmethod
    def _from_header(cls, path: Path, header: str, tensors: StoredTensors) -> Self:
        try:
            values = json.loads(header)
            version = values["version"]
            if version != FORMAT_VERSION:
                raise CheckpointError(
                    f"{path}: written in format {version}, this icstream reads {FORMAT_VERSION}"
                )
            preprocessing = values["preprocessing"]
            return cls(
                config=ICNetConfig(**values["network"]),
                labels=LabelSet.from_values(values["classes"]),
                tensors=tensors,
                preprocessing=Preprocessing(
                    tuple(preprocessing["mean_rgb"]),
                    tuple(preprocessing["std_rgb"]),
                    preprocessing["order"],
                ),
                training=values["training"],
                agreement={k: Agreement(**v) for k, v in values["agreement"].items()},
                fit=_fit(values.get("fit", {})),
                ranges=Ranges(**values["ranges"]) if values.get("ranges") else None,
            )
        except CheckpointError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{path}: damaged header: {error!r}") from error

    def half(self) -> Self:
        """Gives the same with weights in float16: half the size, precise enough for inference."""
        tensors = {name: self.tensors[name].half() for name in self.tensors}
        return replace(self, tensors=tensors)

    def digest(self) -> str:
        """Gives the SHA-256 of all that decides the masks, in hexadecimal."""
        settings: list[Any] = [asdict(self.config), asdict(self.preprocessing), self.labels.names]
        if self.ranges is not None:
            settings.append(dict(self.ranges.highs))
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(self._values(name).tobytes())
        return digest.hexdigest()

    def _values(self, name: str) -> NDArray[np.float32]:
        if isinstance(self.tensors, StoredTensors):
            return self.tensors.float32(name)
        return np.asarray(self.tensors[name].float().contiguous().numpy(), np.float32)

    def save(self, path: Path, *, durable: bool = False) -> None:
        """Write the file; a reader sees the old one or the new one, never half of it.

        Args:
            path: of the file, in a folder that exists.
            durable: return only when the file would survive a loss of power.
        """
        from safetensors.torch import save

        header = {
            "version": FORMAT_VERSION,
            "network": asdict(self.config),
            "classes": list(zip(self.labels.names, self.labels.colors, strict=True)),
            "preprocessing": asdict(self.preprocessing),
            "training": dict(self.training),
            "agreement": {name: asdict(value) for name, value in self.agreement.items()},
            "fit": asdict(self.fit),
            "ranges": None if self.ranges is None else asdict(self.ranges),
        }
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors.items()}
        content = save(tensors, metadata={_HEADER_KEY: json.dumps(header)})
        write_atomically(path, content, durable=durable)

    def problems(self) -> list[str]:
        """Compares the tensors with what the network needs; gives a clause for each fault."""
        needed = needed_shapes(self.config)
        got = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        wrong = [
            f"{name} is {shape_text(got[name])} where the network has {shape_text(needed[name])}"
            for name in needed
            if name in got and got[name] != needed[name]
        ]
        clauses = (
            ("missing", [name for name in needed if name not in got]),
            ("unknown", [name for name in got if name not in needed]),
            ("of another shape:", wrong),
        )
        return [_clause(title, names) for title, names in clauses if names]

    def build(self) -> "ICNet":
        """Gives the network with these weights, in float32 and evaluation mode."""
        from icstream.model.icnet import ICNet

        model = ICNet(self.config)
        # The step counters that Checkpoint leaves out are the only names that may be absent.
        model.load_state_dict({k: v.float() for k, v in self.tensors.items()}, strict=False)
        return model.eval()


def needed_shapes(config: ICNetConfig) -> dict[str, tuple[int, ...]]:
    """Gives the shape of every tensor that a checkpoint of such a network holds, by name."""
    import torch

    from icstream.model.icnet import ICNet

    with torch.device("meta"):
        state = ICNet(config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if _is_weight(name)}


def random_checkpoint(seed: int = 0) -> Checkpoint:
    """Gives untrained weights of the released network's shape: paper variant, Cityscapes."""
    from icstream.model.icnet import ICNet, initialize

    model = ICNet(ICNetConfig(num_classes=len(CITYSCAPES)))
    initialize(model, seed=seed)
    return Checkpoint.of(model, CITYSCAPES, training={"seed": seed, "steps": 0})


def _metadata(content: bytes) -> dict[str, str]:
    """Gives the free text in the header: 8 bytes of length, then JSON (safetensors' format)."""
    (length,) = struct.unpack("<Q", content[:8])
    found = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return found if isinstance(found, dict) else {}


def _fit(values: dict[str, Any]) -> Fit:
    size = values.get("size")
    return Fit(**{**values, "size": None if size is None else (int(size[0]), int(size[1]))})


def _is_weight(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def shape_text(shape: Sequence[int]) -> str:
    """Gives a shape for people."""
    return "x".join(map(str, shape)) or "a scalar"


def _clause(title: str, names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{title} {', '.join(names[:_MAX_NAMED])}{more}"
