"""The section `recipe` of a training configuration, which extends the Supervisely plugin."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from icstream.model.icnet_config import Variant
from icstream.model.settings_base import OldKey, renamed
from icstream.pipeline.settings.loader import Settings
from icstream.stages.train.settings import (
    Augmentation,
    ClassWeights,
    LabelGuidance,
    Optimizer,
    PolySchedule,
    TrainPrecision,
    TrainSettings,
)

PLUGIN = TrainSettings()
"""Settings of the plugin, which a recipe starts from."""

Factor = Annotated[float, Field(gt=0, le=1000)]


class StrictSettings(Settings):
    """Base class of training settings, without conversions: 1.0 and true are not integers."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Recipe(StrictSettings):
    """Training beyond the options of the plugin."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {"optimiser": renamed("optimizer")}
    ADDED: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "dropout"})

    optimizer: Optimizer = Optimizer()
    """Optimizer, which turns gradients into steps."""
    schedule: Literal["poly", "patience"] = "poly"
    """Learning rate schedule: poly follows `poly` from the first step to the last; patience follows
    `lr_decreasing`."""
    poly: PolySchedule = PolySchedule()
    """Parameters of the schedule poly."""
    augmentation: Augmentation = Augmentation()
    """Random crops of `input_size`, instead of stretched images."""
    input_scale: int = Field(PLUGIN.input_scale, ge=1, le=2)
    """Factor by which images are enlarged before the network, in training and in inference."""
    label_guidance: LabelGuidance = PLUGIN.label_guidance
    """Resolution of the loss: full enlarges logits to the labels; shrunk shrinks labels to the
    logits."""
    class_weights: ClassWeights = PLUGIN.class_weights
    """Class weights in the loss: log weighs each class by 1 / ln(1.1 + its share of pixels), so
    that rare classes count more; steep uses 1.02 instead of 1.1."""
    class_factors: dict[str, Factor] = Field(default_factory=dict)
    """Additional weight factors, by class name."""
    ohem: float | None = Field(PLUGIN.ohem, gt=0, lt=1)
    """Probability limit of hard example mining: only pixels whose true class has a lower
    probability count; with null, all pixels count."""
    label_smoothing: float = Field(PLUGIN.label_smoothing, ge=0, lt=1)
    """Share of each pixel's target that is spread evenly over all classes."""
    dropout: float = Field(PLUGIN.dropout, ge=0, lt=1)
    """Share of the last classifier's input channels that are dropped in training."""
    ema: float | None = Field(PLUGIN.ema, gt=0, lt=1)
    """Decay per step of the moving average of weights, which is then validated and saved; null for
    none."""
    precision: TrainPrecision = PLUGIN.precision
    """Precision of the forward and backward pass; loss and weights stay float32."""
    variant: Variant = "paper"
    """Layer of conv3_1 that has the stride: its first 1x1 in paper, its 3x3 in supervisely."""
    width: float = Field(PLUGIN.width, ge=1 / 64, le=4)
    """Number of channels relative to the full network; the released network has half."""

    def applied(self, plain: TrainSettings) -> TrainSettings:
        """Return the plugin's settings with those of this section applied."""
        return replace(
            plain,
            optimizer=replace(self.optimizer, weight_decay=self.optimizer.decay),
            schedule=self.poly if self.schedule == "poly" else plain.schedule,
            augmentation=self.augmentation,
            input_scale=2 if self.input_scale == 2 else 1,
            label_guidance=self.label_guidance,
            class_weights=self.class_weights,
            class_factors=self.class_factors,
            ohem=self.ohem,
            label_smoothing=self.label_smoothing,
            dropout=self.dropout,
            ema=self.ema,
            precision=self.precision,
            variant=self.variant,
            width=self.width,
        )
