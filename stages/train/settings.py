"""What a training run is given, whatever file it comes from."""

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
"""(height, width) in pixels."""
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
        raise ValueError("the smaller one comes first")
    return bounds


Zooms: TypeAlias = Annotated[tuple[Zoom, Zoom], Limits(strict=False), CheckedBy(_ordered)]
Exposures: TypeAlias = Annotated[
    tuple[Exposure, Exposure], Limits(strict=False), CheckedBy(_ordered)
]
Qualities: TypeAlias = Annotated[tuple[Quality, Quality], Limits(strict=False), CheckedBy(_ordered)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer(StrictSettingsBase):
    """How gradients become steps."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """Update rule; its learning rate is `lr`."""
    weight_decay: Annotated[float, Limits(ge=0)] | None = None
    """Decay of convolution weights alone; without it 0.01 for adamw, 0.0001 for sgd, 0 for adam."""
    momentum: Annotated[float, Limits(ge=0, lt=1)] = 0.9
    """Momentum of sgd."""
    clip_norm: Annotated[float, Limits(gt=0)] | None = None
    """Gradients are scaled down to this norm at most; null leaves them as they are."""

    @property
    def decay(self) -> float:
        """The weight decay, settled."""
        return _WEIGHT_DECAY[self.name] if self.weight_decay is None else self.weight_decay


@dataclass(frozen=True, slots=True, kw_only=True)
class PatienceSchedule:
    """The plugin's: divide the rate when validation has stopped getting better."""

    patience: int = 1000
    """Number of validations."""
    divisor: float = 5.0
    """Number by which the rate is divided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolySchedule(StrictSettingsBase):
    """A rate that rises linearly in a warm-up, then falls by (1 - progress) ^ power."""

    warm_up_share: Annotated[float, Limits(ge=0, lt=1)] = 0.05
    """Share of all steps in which the rate rises."""
    power: Annotated[float, Limits(gt=0)] = 0.9
    """Exponent of the fall; 1 is a straight line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photometric(StrictSettingsBase):
    """Light and camera, changed at random at the images' own pixels; this needs torchvision."""

    share: Share = 0.5
    """Share of the images that each change happens to, independently of the others."""
    gamma: Exposures = (0.6, 1.7)
    """Smallest and largest exponent of the values from 0 to 1, drawn log-uniformly; above 1 the
    image gets darker."""
    brightness: Exposures = (0.3, 1.7)
    """Smallest and largest factor, drawn log-uniformly, from dusk to glare."""
    temperature: Share = 0.25
    """Red is multiplied and blue divided by up to e to this power, or the other way around."""
    blur_px: Annotated[float, Limits(ge=0, le=10)] = 1.2
    """Largest standard deviation of a Gaussian blur, in pixels."""
    noise: Share = 0.05
    """Largest standard deviation of Gaussian noise, as a share of the range of values."""
    jpeg_quality: Qualities = (25, 90)
    """Smallest and largest quality of JPEG compression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paste(StrictSettingsBase):
    """Objects of rare classes, cut out of the training images and pasted into crops."""

    classes: Annotated[tuple[str, ...], Limits(strict=False, min_length=1)]
    """Names of the classes, each of which is drawn as often as the others."""
    max_objects: Annotated[int, Limits(ge=1, le=100)] = 3
    """Largest number of objects in an image, drawn evenly from 0 on."""
    scale: Zooms = (0.7, 1.4)
    """Smallest and largest zoom of an object, drawn log-uniformly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation(StrictSettingsBase):
    """Random views of the training images; all draws depend on seed, epoch and sample alone."""

    scale: Zooms = (0.5, 2.0)
    """Smallest and largest zoom, drawn log-uniformly, on top of `input_scale`."""
    flip: bool = True
    """Whether every second image is mirrored."""
    rotation_degrees: Annotated[float, Limits(ge=0, le=180)] = 0.0
    """Largest rotation either way."""
    color: Share = 0.0
    """Strength of changes of brightness, contrast, saturation and hue."""
    whole_frames_share: Share = 0.0
    """Last share of the steps, in which whole images are shown, scaled by `input_scale` only."""
    photometric: Photometric | None = None
    """Changes of light and camera, if any."""
    paste: Paste | None = None
    """Objects that are pasted into crops, if any; whole images stay as they are."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {"colour": renamed("color")}
    ADDED: ClassVar[frozenset[str]] = frozenset({"photometric", "paste"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """All of a training run but its data; the defaults are the plugin's."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "dropout"})

    epochs: int = 2
    """Passes over the training images."""
    batch_train: int = 1
    """Images of a training step, on each device."""
    batch_val: int = 1
    """Images of a validation step, on each device."""
    workers_train: int = 1
    """Processes that load training images; with 0 the trainer loads them itself."""
    workers_val: int = 1
    """Processes that load validation images; with 0 the trainer loads them itself."""
    input_size: Size = (1025, 2049)
    """Size to which images are stretched without augmentation; with it, the size of the crops."""
    input_scale: Literal[1, 2] = 1
    """2 doubles images before the network sees them, in training and afterwards."""
    val_every: float = 1.0
    """Epochs between validations; one follows at the end in any case."""
    lr: float = 1e-4
    """Initial learning rate."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(name="adam"))
    """How gradients become steps."""
    schedule: PatienceSchedule | PolySchedule = field(default_factory=PatienceSchedule)
    """How the learning rate changes."""
    augmentation: Augmentation | None = None
    """Random views of the training images, if any."""
    allow_corrupted_train: int = 0
    """Distinct samples that may fail to load, over all workers and ranks, in the whole run."""
    allow_corrupted_val: int = 0
    """Validation samples that may fail to load, in the whole run."""
    variant: Variant = "supervisely"
    """Where conv3_1 halves its map: paper does on its first 1x1, supervisely on its 3x3."""
    width: float = 0.5
    """Channels relative to the full network."""
    use_batchnorm: bool = True
    """Whether there is batch norm; without it every convolution has a bias instead."""
    init: InitType = "transfer_learning"
    """transfer_learning takes all but the classifiers from the initial weights; continue_training
    takes everything."""
    aux_weights: tuple[float, float, float] = (1.0, 0.4, 0.16)
    """Weights of the losses at sub124, sub24 and sub4."""
    label_guidance: LabelGuidance = "full"
    """full brings logits to the size of the labels; shrunk brings labels to that of the logits."""
    class_weights: ClassWeights = "none"
    """log weighs each class by 1 / ln(1.1 + its share of the pixels of the training set), at most
    three times as much as a common one; steep uses 1.02, at most ten times."""
    class_factors: Mapping[str, float] = field(default_factory=dict)
    """Factors on the weights of classes, by name."""
    ohem: float | None = None
    """Only pixels whose true class gets less than this probability count, at least 1/16 of all."""
    label_smoothing: float = 0.0
    """Share of each pixel's target that is spread evenly over all classes."""
    dropout: float = 0.0
    """Share of the channels that the last classifier does not see, in training."""
    ema: float | None = None
    """Decay per step of the moving average of weights that is validated and saved, if any."""
    precision: TrainPrecision = "fp32"
    """Precision of forward and backward pass (autocast); loss and weights stay float32."""
    seed: int = 0
    """Seed of everything that is random."""
    gpu_devices: tuple[int, ...] = (0,)
    """CUDA devices; without CUDA the CPU trains."""
    checkpoint_every_steps: int = 0
    """Steps between states saved for --resume, besides those at each validation; 0 for none."""
    keep_every_validation: bool = False
    """Whether the weights of each validation are kept, and not only the last and best."""
