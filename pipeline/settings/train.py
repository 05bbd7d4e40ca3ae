"""The settings of training: the Supervisely plugin's own form, and a block that goes beyond it."""

import logging
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from icstream.model.geometry import MIN_SIDE
from icstream.pipeline.settings.loader import assign, check, read_settings
from icstream.pipeline.settings.recipe import Recipe, StrictSettings
from icstream.stages.train.settings import PatienceSchedule, TrainSettings

log = logging.getLogger(__name__)

MISSPELT = "lr_descreasing"
"""How the plugin's documentation writes `lr_decreasing`, which the plugin itself then refused."""
_REFUSALS = {
    "special_classes.background": (
        "background cannot be named; pixels that no object covers are class 0, and are trained"
    )
}
_BEYOND_PLUGIN = {"recipe", "seed", "checkpoint_every_steps", "keep_every_validation"}

Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=MIN_SIDE)]


class DatasetTags(StrictSettings):
    """Tags of images by which they belong to a split."""

    train: Name = "train"
    """Of images to train on."""
    val: Name = "val"
    """Of images to validate on."""


class BatchSize(StrictSettings):
    """Images per step, on each device."""

    train: Positive = 1
    """In training."""
    val: Positive = 1
    """In validation."""


class DataWorkers(StrictSettings):
    """Processes that load images; 0: none but the trainer's own."""

    train: Count = 1
    """In training."""
    val: Count = 1
    """In validation."""


class InputSize(StrictSettings):
    """Without `recipe` images are stretched to it; with it, the size of the crops."""

    width: Side = 2049
    """In pixels."""
    height: Side = 1025
    """In pixels."""


class AllowCorrupted(StrictSettings):
    """Distinct samples that may fail to load, in the whole run."""

    train: Count = 0
    """In training."""
    val: Count = 0
    """In validation."""


class SpecialClasses(StrictSettings):
    """Classes that are not learned."""

    neutral: Name = "neutral"
    """Pixels of this class count in no loss and no score."""


class LrDecreasing(StrictSettings):
    """When and how much the learning rate falls."""

    patience: Positive = 1000
    """In validations."""
    lr_divisor: float = Field(5.0, gt=0)
    """What the rate is divided by."""


def _not_empty(value: object) -> object:
    if value is None:
        raise ValueError("nothing in it; write {} for its defaults, or leave it out")
    return value


class TrainConfig(StrictSettings):
    """All settings of `icstream train`."""

    dataset_tags: DatasetTags = DatasetTags()
    """Which images are for what."""
    batch_size: BatchSize = BatchSize()
    """Per device."""
    data_workers: DataWorkers = DataWorkers()
    """Loader processes."""
    input_size: InputSize = InputSize()
    """What the network sees."""
    allow_corrupted_samples: AllowCorrupted = AllowCorrupted()
    """How many samples may be unreadable."""
    special_classes: SpecialClasses = SpecialClasses()
    """Classes that are not learned."""
    epochs: Positive = 2
    """Passes over the training images."""
    val_every: float = Field(1.0, gt=0)
    """Epochs between validations; one follows at the end in any case."""
    lr: float = Field(0.0001, gt=0)
    """Learning rate to start with."""
    lr_decreasing: LrDecreasing = LrDecreasing()
    """How it falls, unless `recipe` says otherwise."""
    weights_init_type: Literal["transfer_learning", "continue_training"] = "transfer_learning"
    """What is taken from the weights to start from: all but the classifiers, or everything."""
    gpu_devices: list[Count] = Field([0], min_length=1)
    """CUDA devices; without CUDA the processor trains."""
    use_batchnorm: bool = True
    """false: every convolution has a bias instead."""
    recipe: Annotated[Recipe | None, BeforeValidator(_not_empty)] = None
    """What goes beyond the plugin; absent: everything is as the plugin does it."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Of all that is random."""
    checkpoint_every_steps: Count = 0
    """Save the state for --resume so often, besides at each validation; 0: only there."""
    keep_every_validation: bool = False
    """Keep the weights of each validation, as the plugin did; else of the last and the best."""

    def settings(self) -> TrainSettings:
        """Gives the settings as the trainer knows them."""
        plain = TrainSettings(
            epochs=self.epochs,
            batch_train=self.batch_size.train,
            batch_val=self.batch_size.val,
            workers_train=self.data_workers.train,
            workers_val=self.data_workers.val,
            input_size=(self.input_size.height, self.input_size.width),
            val_every=self.val_every,
            lr=self.lr,
            schedule=PatienceSchedule(
                patience=self.lr_decreasing.patience, divisor=self.lr_decreasing.lr_divisor
            ),
            allow_corrupted_train=self.allow_corrupted_samples.train,
            allow_corrupted_val=self.allow_corrupted_samples.val,
            use_batchnorm=self.use_batchnorm,
            init=self.weights_init_type,
            gpu_devices=tuple(dict.fromkeys(self.gpu_devices)),
            seed=self.seed,
            checkpoint_every_steps=self.checkpoint_every_steps,
            keep_every_validation=self.keep_every_validation,
        )
        return self.recipe.applied(plain) if self.recipe else plain

    def plugin_values(self) -> dict[str, Any]:
        """Gives the plugin's settings alone, defaults filled in, as JSON values it would accept."""
        return self.model_dump(mode="json", exclude=_BEYOND_PLUGIN)


def load_train_config(file: str, assignments: Iterable[str] = ()) -> TrainConfig:
    """Builds the configuration; later sources win.

    Args:
        file: a JSON or YAML file, or the name of a ready-made configuration.
        assignments: "section.key=value" texts, values read as YAML.

    Raises:
        ConfigError: every fault at once, one clause each, with its path.
    """
    values = read_settings(file, kind="train")
    assign(values, assignments)
    faults = [*_spell(values), *_idle(values)]
    config = check(TrainConfig, values, origin=file, faults=faults, refusals=_REFUSALS)
    _warn(config)
    return config


def _spell(values: dict[str, Any]) -> list[str]:
    """Renames the misspelt key, or gives a clause if the right one is there too."""
    if MISSPELT not in values:
        return []
    section = values.pop(MISSPELT)
    if "lr_decreasing" in values:
        return [f"{MISSPELT}: a misspelling of lr_decreasing, which is there too; keep that one"]
    log.warning("%s is taken for lr_decreasing", MISSPELT)
    values["lr_decreasing"] = section
    return []


def _idle(values: Mapping[str, Any]) -> list[str]:
    """Gives a clause for each section that was written and that another setting makes idle."""
    recipe = values.get("recipe")
    if not isinstance(recipe, dict):
        return []
    schedule = recipe.get("schedule", "poly")
    if schedule == "poly" and "lr_decreasing" in values:
        return [
            "lr_decreasing: recipe.schedule poly takes its place; "
            "leave it out, or set recipe.schedule to patience"
        ]
    if schedule == "patience" and "poly" in recipe:
        return ["recipe.poly: recipe.schedule is patience; leave one of them out"]
    return []


def _warn(config: TrainConfig) -> None:
    if config.lr_decreasing.lr_divisor < 1:
        log.warning(
            "lr_decreasing.lr_divisor is %g: the learning rate would grow where it should fall",
            config.lr_decreasing.lr_divisor,
        )
    if len(set(config.gpu_devices)) < len(config.gpu_devices):
        log.warning("gpu_devices: %s names a device twice; it is used once", config.gpu_devices)
