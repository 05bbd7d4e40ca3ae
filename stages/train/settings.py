"""What a training run is told; plain values, whatever file they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from icstream.model.icnet_config import Variant

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """How gradients become steps."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    """Of convolution weights alone; batch norm and biases never decay."""
    momentum: float = 0.9
    """Of sgd."""
    clip_norm: float | None = None
    """Gradients are scaled down to this norm at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatienceSchedule:
    """The plugin's: divide the rate when validation has stopped getting better."""

    patience: int = 1000
    """In validations."""
    divisor: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolySchedule:
    """Linear warm-up, then (1 - progress) ^ power."""

    warm_up_share: float = 0.05
    """Of all steps."""
    power: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random views of the training images; all draws depend on seed, epoch and sample alone."""

    scale: tuple[float, float] = (0.5, 2.0)
    """Smallest and largest zoom, drawn log-uniformly, on top of `input_scale`."""
    flip: bool = True
    """Mirror every second image."""
    rotation_degrees: float = 0.0
    """Up to so much either way."""
    colour: float = 0.0
    """Strength of changes of brightness, contrast, saturation and hue, 0 to 1."""
    whole_frames_share: float = 0.0
    """In this last share of the steps whole images are shown, scaled by `input_scale` only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """All of a training run but its data; the defaults are the plugin's."""

    epochs: int = 2
    batch_train: int = 1
    """Per device."""
    batch_val: int = 1
    workers_train: int = 1
    """Loader processes; 0 = none."""
    workers_val: int = 1
    input_size: Size = (1025, 2049)
    """Without augmentation images are stretched to it; with it, the size of the crops."""
    input_scale: Literal[1, 2] = 1
    """2: images are doubled before the network sees them, in training and afterwards."""
    val_every: float = 1.0
    """Epochs between validations; one follows at the end in any case."""
    lr: float = 1e-4
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: PatienceSchedule | PolySchedule = field(default_factory=PatienceSchedule)
    augmentation: Augmentation | None = None
    allow_corrupted_train: int = 0
    """Distinct samples that may fail to load, over all workers and ranks, in the whole run."""
    allow_corrupted_val: int = 0
    variant: Variant = "supervisely"
    width: float = 0.5
    use_batchnorm: bool = True
    init: Literal["transfer_learning", "continue_training"] = "transfer_learning"
    """What is taken from the weights to start from: all but the classifiers, or everything."""
    aux_weights: tuple[float, float, float] = (1.0, 0.4, 0.16)
    """Of the losses at sub124, sub24 and sub4."""
    label_guidance: Literal["full", "shrunk"] = "full"
    """full: logits are brought to the size of the labels; shrunk: labels to that of the logits."""
    class_weights: Literal["none", "log", "steep"] = "none"
    """log: 1 / ln(1.1 + share of the class's pixels in the training set); steep: with 1.02, up to
    ten times the weight of a common class where log gives three."""
    class_factors: Mapping[str, float] = field(default_factory=dict)
    """Multiply the weights of classes, by name."""
    ohem: float | None = None
    """Only pixels whose true class gets less than this probability count, at least 1/16 of all."""
    ema: float | None = None
    """Decay per step of the moving average of weights that is validated and saved."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of forward and backward pass (autocast); loss and weights stay float32."""
    seed: int = 0
    gpu_devices: tuple[int, ...] = (0,)
    """CUDA devices; without CUDA the processor trains."""
    checkpoint_every_steps: int = 0
    """Save the state for --resume so often, besides at each validation; 0 = only there."""
    keep_every_validation: bool = False
    """Keep the weights of each validation, not only last and best."""
