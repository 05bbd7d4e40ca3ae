"""The block `recipe` of a training configuration: what goes beyond the Supervisely plugin."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from icstream.model.icnet_config import Variant
from icstream.pipeline.settings.loader import Settings
from icstream.stages.train.settings import Augmentation, Optimiser, PolySchedule, TrainSettings


class StrictSettings(Settings):
    """Settings of training, where 1.0 and true are no integers and texts no numbers."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("the smallest zoom comes first")
    return value


Zoom = Annotated[float, Field(ge=0.1, le=10)]
Factor = Annotated[float, Field(gt=0, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]


class OptimiserSettings(StrictSettings):
    """How gradients become steps."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """The rule; its rate is `lr`."""
    weight_decay: float | None = Field(None, ge=0)
    """Of convolution weights; if none is given, 0.01 for adamw, 0.0001 for sgd, 0 for adam."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of sgd."""
    clip_norm: float | None = Field(None, gt=0)
    """Gradients are scaled down to this norm at most; null: they are left as they are."""

    def optimiser(self) -> Optimiser:
        """Gives the rule as the trainer knows it."""
        decay = self.weight_decay
        if decay is None:
            decay = {"adamw": 0.01, "sgd": 0.0001, "adam": 0.0}[self.name]
        return Optimiser(
            name=self.name, weight_decay=decay, momentum=self.momentum, clip_norm=self.clip_norm
        )


class PolySettings(StrictSettings):
    """Linear warm-up, then (1 - progress) ^ power."""

    warm_up_share: float = Field(0.05, ge=0, lt=1)
    """Of all steps."""
    power: float = Field(0.9, gt=0)
    """1: a straight line."""


class AugmentationSettings(StrictSettings):
    """Random views of the training images."""

    scale: Annotated[tuple[Zoom, Zoom], Field(strict=False), AfterValidator(_rising)] = (0.5, 2.0)
    """Smallest and largest zoom, on top of `input_scale`."""
    flip: bool = True
    """Mirror every second image."""
    rotation_degrees: float = Field(0.0, ge=0, le=180)
    """Up to so much either way."""
    colour: Share = 0.0
    """Strength of changes of brightness, contrast, saturation and hue."""
    whole_frames_share: Share = 0.0
    """In this last share of the steps whole images are shown, not crops."""

    def augmentation(self) -> Augmentation:
        """Gives the same as the trainer knows it."""
        return Augmentation(
            scale=self.scale,
            flip=self.flip,
            rotation_degrees=self.rotation_degrees,
            colour=self.colour,
            whole_frames_share=self.whole_frames_share,
        )


class Recipe(StrictSettings):
    """How to train beyond the plugin; without it everything is as the plugin does it."""

    optimiser: OptimiserSettings = OptimiserSettings()
    """How gradients become steps."""
    schedule: Literal["poly", "patience"] = "poly"
    """poly: by `poly`, from the first step to the last; patience: by `lr_decreasing`."""
    poly: PolySettings = PolySettings()
    """Of schedule poly."""
    augmentation: AugmentationSettings = AugmentationSettings()
    """Random crops of `input_size` in place of stretched images."""
    input_scale: int = Field(1, ge=1, le=2)
    """2: images are doubled before the network sees them, in training and afterwards."""
    label_guidance: Literal["full", "shrunk"] = "full"
    """full: logits are brought to the size of the labels; shrunk: labels to that of the logits."""
    class_weights: Literal["none", "log", "steep"] = "none"
    """log: rare classes weigh more, 1 / ln(1.1 + share of pixels); steep: with 1.02."""
    class_factors: dict[str, Factor] = Field(default_factory=dict)
    """Multiply the weights of classes, by name."""
    ohem: float | None = Field(None, gt=0, lt=1)
    """Only pixels whose true class gets less than this probability count; null: all count."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay per step of the moving average of weights that is validated and saved; null: none."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of forward and backward pass; loss and weights stay float32."""
    variant: Variant = "paper"
    """Where conv3_1 halves its map: paper on its first 1x1, supervisely on its 3x3."""
    width: float = Field(0.5, ge=1 / 64, le=4)
    """Channels relative to the full network; the released one has half."""

    def applied(self, plain: TrainSettings) -> TrainSettings:
        """Gives settings in which what this block says replaces what the plugin does."""
        poly = PolySchedule(warm_up_share=self.poly.warm_up_share, power=self.poly.power)
        return replace(
            plain,
            optimiser=self.optimiser.optimiser(),
            schedule=poly if self.schedule == "poly" else plain.schedule,
            augmentation=self.augmentation.augmentation(),
            input_scale=2 if self.input_scale == 2 else 1,
            label_guidance=self.label_guidance,
            class_weights=self.class_weights,
            class_factors=self.class_factors,
            ohem=self.ohem,
            ema=self.ema,
            precision=self.precision,
            variant=self.variant,
            width=self.width,
        )
