"""The settings of training: those of the Supervisely plugin, and extensions."""

import logging
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from icstream.model.geometry import MIN_SIDE
from icstream.pipeline.settings.reader import SettingsReader
from icstream.pipeline.settings.recipe import PLUGIN, Recipe, StrictSettings
from icstream.stages.train.settings import InitType, PatienceSchedule, TrainSettings

log = logging.getLogger(__name__)

MISSPELT = "lr_descreasing"
"""Misspelling of `lr_decreasing` in the plugin's documentation, which the plugin itself rejects."""
_REFUSALS = {
    "special_classes.background": (
        "the background cannot be named; pixels outside all objects are class 0 and are trained"
    )
}
_BEYOND_PLUGIN = {"recipe", "splits", "seed", "checkpoint_every_steps", "keep_every_validation"}

Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=MIN_SIDE)]


class DatasetTags(StrictSettings):
    """Assignment of images to splits by tag."""

    train: Name = "train"
    """Tag of the training images."""
    val: Name = "val"
    """Tag of the validation images."""


class Splits(StrictSettings):
    """Assignment of samples to splits by name, instead of the data set's own splits."""

    train: tuple[Name, ...] = Field((), strict=False)
    """Name patterns ("0016E5_*") and list files ("@day.txt") of the training samples."""
    val: tuple[Name, ...] = Field((), strict=False)
    """Name patterns and list files of the validation samples."""


class BatchSize(StrictSettings):
    """Images per step, on each device."""

    train: Positive = PLUGIN.batch_train
    """Images per training step."""
    val: Positive = PLUGIN.batch_val
    """Images per validation step."""


class DataWorkers(StrictSettings):
    """Number of processes that load images; with 0, the trainer loads them itself."""

    train: Count = PLUGIN.workers_train
    """Number of processes that load training images."""
    val: Count = PLUGIN.workers_val
    """Number of processes that load validation images."""


class InputSize(StrictSettings):
    """Size to which images are stretched or, with `recipe`, size of the crops."""

    width: Side = PLUGIN.input_size[1]
    """Width in pixels."""
    height: Side = PLUGIN.input_size[0]
    """Height in pixels."""


class AllowCorrupted(StrictSettings):
    """Most distinct samples that may fail to load during the whole run."""

    train: Count = PLUGIN.allow_corrupted_train
    """Most training samples that may fail to load."""
    val: Count = PLUGIN.allow_corrupted_val
    """Most validation samples that may fail to load."""


class SpecialClasses(StrictSettings):
    """Classes that are not learned."""

    neutral: Name = "neutral"
    """Class whose pixels are ignored by the loss and the metrics."""


_PATIENCE = PatienceSchedule()


class LrDecreasing(StrictSettings):
    """Decrease of the learning rate when validation does not improve."""

    patience: Positive = _PATIENCE.patience
    """Number of validations without a lower loss before the rate falls."""
    lr_divisor: float = Field(_PATIENCE.divisor, gt=0)
    """Divisor of the rate at each decrease."""


def _not_empty(value: object) -> object:
    if value is None:
        raise ValueError("must not be empty; write {} for the defaults, or remove the key")
    return value


class TrainConfig(StrictSettings):
    """All settings of `icstream train`."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"splits"})

    dataset_tags: DatasetTags = DatasetTags()
    """Assignment of images to splits by tag."""
    batch_size: BatchSize = BatchSize()
    """Images per step, on each device."""
    data_workers: DataWorkers = DataWorkers()
    """Number of processes that load images."""
    input_size: InputSize = InputSize()
    """Size of the network's input in training."""
    allow_corrupted_samples: AllowCorrupted = AllowCorrupted()
    """Most samples that may fail to load."""
    special_classes: SpecialClasses = SpecialClasses()
    """Classes that are not learned."""
    epochs: Positive = PLUGIN.epochs
    """Number of passes over the training images."""
    val_every: float = Field(PLUGIN.val_every, gt=0)
    """Number of epochs between validations; the training always ends with one."""
    lr: float = Field(PLUGIN.lr, gt=0)
    """Initial learning rate."""
    lr_decreasing: LrDecreasing = LrDecreasing()
    """Decrease of the learning rate, unless `recipe` has another schedule."""
    weights_init_type: InitType = PLUGIN.init
    """Use of the initial weights: transfer_learning loads all layers but the classifiers;
    continue_training loads all."""
    gpu_devices: list[Count] = Field(list(PLUGIN.gpu_devices), min_length=1)
    """Numbers of the CUDA devices; without CUDA, training runs on the CPU."""
    use_batchnorm: bool = PLUGIN.use_batchnorm
    """Whether the network has batch normalization; otherwise every convolution has a bias."""
    recipe: Annotated[Recipe | None, BeforeValidator(_not_empty)] = None
    """Extensions of the plugin; by default, training follows the plugin."""
    splits: Splits = Splits()
    """Assignment of samples to splits by name."""
    seed: int = Field(PLUGIN.seed, ge=0, lt=2**63)
    """Seed of all random numbers."""
    checkpoint_every_steps: Count = PLUGIN.checkpoint_every_steps
    """Number of steps between saved states for --resume, besides those at each validation; 0 for
    none."""
    keep_every_validation: bool = PLUGIN.keep_every_validation
    """Whether to keep the weights of every validation, as the plugin does, instead of the last and
    best."""

    def settings(self) -> TrainSettings:
        """Return the settings in the form that the trainer takes."""
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
        """Return the plugin's settings alone, with defaults, as JSON values for the plugin."""
        return self.model_dump(mode="json", exclude=_BEYOND_PLUGIN)


def load_train_config(file: str, assignments: Iterable[str] = ()) -> TrainConfig:
    """Return the configuration; later sources take precedence.

    Args:
        file: a JSON or YAML file, or the name of a preset.
        assignments: "section.key=value" texts with values in YAML.

    Raises:
        ConfigError: some settings are invalid; the error has a clause with the path of each.
    """
    reader = SettingsReader(TrainConfig, file, kind="train")
    reader.assign(assignments)
    errors = [*_spell(reader.values), *_idle(reader.values)]
    config = reader.check(errors=errors, refusals=_REFUSALS)
    _warn(config)
    return config


def _spell(values: dict[str, Any]) -> list[str]:
    """Rename the misspelled key, or return an error clause if the right one is also given."""
    if MISSPELT not in values:
        return []
    section = values.pop(MISSPELT)
    if "lr_decreasing" in values:
        return [f"{MISSPELT}: a misspelling of lr_decreasing, which is also given; keep only that"]
    log.warning("%s is a misspelling of lr_decreasing and is read as such", MISSPELT)
    values["lr_decreasing"] = section
    return []


def _idle(values: Mapping[str, Any]) -> list[str]:
    """Return an error clause for each given section that another setting makes ineffective."""
    recipe = values.get("recipe")
    if not isinstance(recipe, dict):
        return []
    schedule = recipe.get("schedule", "poly")
    if schedule == "poly" and "lr_decreasing" in values:
        return [
            "lr_decreasing: has no effect with recipe.schedule poly; "
            "remove it, or set recipe.schedule to patience"
        ]
    if schedule == "patience" and "poly" in recipe:
        return ["recipe.poly: has no effect with recipe.schedule patience; remove one of them"]
    return []


def _warn(config: TrainConfig) -> None:
    if config.lr_decreasing.lr_divisor < 1:
        log.warning(
            "lr_decreasing.lr_divisor is %g: the learning rate would rise instead of falling",
            config.lr_decreasing.lr_divisor,
        )
    if len(set(config.gpu_devices)) < len(config.gpu_devices):
        log.warning("gpu_devices: %s repeats a device, which is used only once", config.gpu_devices)
