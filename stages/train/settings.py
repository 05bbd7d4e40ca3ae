"""The settings of training runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, TypeAlias

from icstream.model.icnet_config import Variant
from icstream.model.settings_base import (
    CheckedBy,
    Limits,
    OldKey,
    StrictSettingsBase,
    renamed,
)

Size = tuple[int, int]
"""A (height, width) in pixels."""
InitType: TypeAlias = Literal["transfer_learning", "continue_training"]
LabelGuidance: TypeAlias = Literal["full", "shrunk"]
ClassWeights: TypeAlias = Literal["none", "log", "steep"]
TrainPrecision: TypeAlias = Literal["fp32", "bf16", "fp16"]
Share: TypeAlias = Annotated[float, Limits(ge=0, le=1)]
Zoom: TypeAlias = Annotated[float, Limits(ge=0.1, le=10)]
Exposure: TypeAlias = Annotated[float, Limits(ge=0.05, le=20)]
Quality: TypeAlias = Annotated[int, Limits(ge=1, le=100)]

_WEIGHT_DECAY = {"adamw": 0.01, "sgd": 0.0001, "adam": 0.0}


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the smaller one must come first")
    return bounds


Zooms: TypeAlias = Annotated[tuple[Zoom, Zoom], Limits(strict=False), CheckedBy(_ordered)]
Exposures: TypeAlias = Annotated[
    tuple[Exposure, Exposure], Limits(strict=False), CheckedBy(_ordered)
]
Qualities: TypeAlias = Annotated[tuple[Quality, Quality], Limits(strict=False), CheckedBy(_ordered)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer(StrictSettingsBase):
    """Settings of the optimizer."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """Optimizer, with the learning rate `lr`."""
    weight_decay: Annotated[float, Limits(ge=0)] | None = None
    """Weight decay of convolutions only; by default 0.01 for adamw, 0.0001 for sgd, 0 for adam."""
    momentum: Annotated[float, Limits(ge=0, lt=1)] = 0.9
    """Momentum, for sgd only."""
    clip_norm: Annotated[float, Limits(gt=0)] | None = None
    """Largest norm of gradients, to which larger ones are scaled down; null for no limit."""

    @property
    def decay(self) -> float:
        """The weight decay, with defaults applied."""
        return _WEIGHT_DECAY[self.name] if self.weight_decay is None else self.weight_decay


@dataclass(frozen=True, slots=True, kw_only=True)
class PatienceSchedule:
    """The plugin's schedule, which divides the rate when validation stops improving."""

    patience: int = 1000
    """Number of validations without improvement."""
    divisor: float = 5.0
    """Divisor of the learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolySchedule(StrictSettingsBase):
    """A schedule that rises linearly in a warm-up, then falls by (1 - progress) ^ power."""

    warm_up_share: Annotated[float, Limits(ge=0, lt=1)] = 0.05
    """Share of steps in the warm-up."""
    power: Annotated[float, Limits(gt=0)] = 0.9
    """Exponent of the decay; 1 is linear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photometric(StrictSettingsBase):
    """Random changes of light and camera, at the images' own resolution; needs torchvision."""

    share: Share = 0.5
    """Share of images to which each change is applied, independently of the others."""
    gamma: Exposures = (0.6, 1.7)
    """Smallest and largest gamma, drawn log-uniformly; values above 1 darken the image."""
    brightness: Exposures = (0.3, 1.7)
    """Smallest and largest brightness factor, drawn log-uniformly."""
    temperature: Share = 0.25
    """Largest exponent t of the factor e^t by which red is multiplied and blue divided, or vice
    versa."""
    blur_px: Annotated[float, Limits(ge=0, le=10)] = 1.2
    """Largest standard deviation of a Gaussian blur, in pixels."""
    noise: Share = 0.05
    """Largest standard deviation of Gaussian noise, as a share of the range of values."""
    jpeg_quality: Qualities = (25, 90)
    """Smallest and largest quality of JPEG compression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paste(StrictSettingsBase):
    """Pasting of objects of rare classes, cut out of training images, into crops."""

    classes: Annotated[tuple[str, ...], Limits(strict=False, min_length=1)]
    """Names of the classes, which are drawn uniformly."""
    max_objects: Annotated[int, Limits(ge=1, le=100)] = 3
    """Largest number of objects in an image, drawn uniformly from 0."""
    scale: Zooms = (0.7, 1.4)
    """Smallest and largest zoom of an object, drawn log-uniformly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation(StrictSettingsBase):
    """Random views of training images, which depend only on seed, epoch and sample."""

    scale: Zooms = (0.5, 2.0)
    """Smallest and largest zoom, drawn log-uniformly, on top of `input_scale`."""
    flip: bool = True
    """Whether to mirror half of the images."""
    rotation_degrees: Annotated[float, Limits(ge=0, le=180)] = 0.0
    """Largest rotation in either direction, in degrees."""
    color: Share = 0.0
    """Strength of changes of brightness, contrast, saturation and hue."""
    whole_frames_share: Share = 0.0
    """Share of steps, at the end, that use whole images, scaled only by `input_scale`."""
    photometric: Photometric | None = None
    """Changes of light and camera, or null."""
    paste: Paste | None = None
    """Objects to paste into crops, or null; whole images are not changed."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {"colour": renamed("color")}
    ADDED: ClassVar[frozenset[str]] = frozenset({"photometric", "paste"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Settings of a training run apart from its data, with the plugin's defaults."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "dropout"})

    epochs: int = 2
    """Number of passes over the training images."""
    batch_train: int = 1
    """Number of images in a training step, on each device."""
    batch_val: int = 1
    """Number of images in a validation step, on each device."""
    workers_train: int = 1
    """Number of processes that load training images; 0 loads them in the trainer."""
    workers_val: int = 1
    """Number of processes that load validation images; 0 loads them in the trainer."""
    input_size: Size = (1025, 2049)
    """Size to which images are stretched, or the size of crops with augmentation."""
    input_scale: Literal[1, 2] = 1
    """Factor by which images are enlarged for the network, in training and afterwards."""
    val_every: float = 1.0
    """Epochs between validations; another one always follows at the end."""
    lr: float = 1e-4
    """Initial learning rate."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(name="adam"))
    """Optimizer."""
    schedule: PatienceSchedule | PolySchedule = field(default_factory=PatienceSchedule)
    """Schedule of the learning rate."""
    augmentation: Augmentation | None = None
    """Random views of training images, or null."""
    allow_corrupted_train: int = 0
    """Number of distinct training samples that may fail to load in the whole run, over all workers
    and ranks."""
    allow_corrupted_val: int = 0
    """Number of validation samples that may fail to load in the whole run."""
    variant: Variant = "supervisely"
    """Convolution of conv3_1 with stride 2: the first 1x1 (paper) or the 3x3 (supervisely)."""
    width: float = 0.5
    """Share of the full network's channels."""
    use_batchnorm: bool = True
    """Whether convolutions have batch norm; otherwise they have a bias."""
    init: InitType = "transfer_learning"
    """Use of the initial weights: transfer_learning loads all but the classifiers,
    continue_training loads all."""
    aux_weights: tuple[float, float, float] = (1.0, 0.4, 0.16)
    """Weights of the losses at sub124, sub24 and sub4."""
    label_guidance: LabelGuidance = "full"
    """Size of the loss: full upsamples logits to the labels' size, shrunk samples labels at the
    logits' size."""
    class_weights: ClassWeights = "none"
    """Class weights: log is 1 / ln(1.1 + share of the training set's pixels), at most three times
    that of a common class; steep uses 1.02, at most ten times."""
    class_factors: Mapping[str, float] = field(default_factory=dict)
    """Factors of class weights, by name."""
    ohem: float | None = None
    """Probability of the true class below which pixels count, which at least 1/16 of them do; null
    for all."""
    label_smoothing: float = 0.0
    """Share of each pixel's target that is spread evenly over all classes."""
    dropout: float = 0.0
    """Share of channels that are dropped before the last classifier in training."""
    ema: float | None = None
    """Decay per step of a moving average of weights, which is then validated and saved; null for
    none."""
    precision: TrainPrecision = "fp32"
    """Precision of the forward and backward pass (autocast); loss and weights remain float32."""
    seed: int = 0
    """Seed of all random numbers."""
    gpu_devices: tuple[int, ...] = (0,)
    """CUDA devices; without CUDA the CPU is used."""
    checkpoint_every_steps: int = 0
    """Steps between saved states for --resume, in addition to one at each validation; 0 for
    none."""
    keep_every_validation: bool = False
    """Whether to keep the weights of each validation rather than only the last and best."""
