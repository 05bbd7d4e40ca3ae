"""The block `recipe` of a training configuration: what goes beyond the Supervisely plugin."""

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
"""The plugin's settings; a recipe begins with them where it does nothing else."""

Factor = Annotated[float, Field(gt=0, le=1000)]


class StrictSettings(Settings):
    """Settings of training, where 1.0 and true are no integers and texts no numbers."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Recipe(StrictSettings):
    """How to train beyond the plugin; without it everything is as the plugin does it."""

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {"optimiser": renamed("optimizer")}
    ADDED: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "dropout"})

    optimizer: Optimizer = Optimizer()
    """How gradients become steps."""
    schedule: Literal["poly", "patience"] = "poly"
    """poly follows `poly` from the first step to the last; patience follows `lr_decreasing`."""
    poly: PolySchedule = PolySchedule()
    """The schedule poly."""
    augmentation: Augmentation = Augmentation()
    """Random crops of `input_size` in place of stretched images."""
    input_scale: int = Field(PLUGIN.input_scale, ge=1, le=2)
    """2 doubles images before the network sees them, in training and afterwards."""
    label_guidance: LabelGuidance = PLUGIN.label_guidance
    """full brings logits to the size of the labels; shrunk brings labels to that of the logits."""
    class_weights: ClassWeights = PLUGIN.class_weights
    """log weighs each class by 1 / ln(1.1 + its share of pixels), so rare ones more; steep uses
    1.02."""
    class_factors: dict[str, Factor] = Field(default_factory=dict)
    """Factors on the weights of classes, by name."""
    ohem: float | None = Field(PLUGIN.ohem, gt=0, lt=1)
    """Only pixels whose true class gets less than this probability count; with null all count."""
    label_smoothing: float = Field(PLUGIN.label_smoothing, ge=0, lt=1)
    """Share of each pixel's target that is spread evenly over all classes."""
    dropout: float = Field(PLUGIN.dropout, ge=0, lt=1)
    """Share of the channels that the last classifier does not see, in training."""
    ema: float | None = Field(PLUGIN.ema, gt=0, lt=1)
    """Decay per step of the moving average of weights that is validated and saved, if any."""
    precision: TrainPrecision = PLUGIN.precision
    """Precision of forward and backward pass; loss and weights stay float32."""
    variant: Variant = "paper"
    """Where conv3_1 halves its map: paper does on its first 1x1, supervisely on its 3x3."""
    width: float = Field(PLUGIN.width, ge=1 / 64, le=4)
    """Channels relative to the full network; the released one has half."""

    def applied(self, plain: TrainSettings) -> TrainSettings:
        """Return settings in which this block replaces what the plugin does."""
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
