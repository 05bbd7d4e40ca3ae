"""The settings of training: the Supervisely plugin's own form, and a block that goes beyond it."""

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
"""How the plugin's documentation writes `lr_decreasing`, which the plugin itself then refused."""
_REFUSALS = {
    "special_classes.background": (
        "background cannot be named; pixels that no object covers are class 0, and are trained"
    )
}
_BEYOND_PLUGIN = {"recipe", "splits", "seed", "checkpoint_every_steps", "keep_every_validation"}

Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=MIN_SIDE)]


class DatasetTags(StrictSettings):
    """Tags of images by which they belong to a split."""

    train: Name = "train"
    """Tag of images to train on."""
    val: Name = "val"
    """Tag of images to validate on."""


class Splits(StrictSettings):
    """Names of samples by which they belong to a split, in place of the data set's own splits."""

    train: tuple[Name, ...] = Field((), strict=False)
    """Patterns ("0016E5_*") and list files ("@day.txt") that name the samples to train on."""
    val: tuple[Name, ...] = Field((), strict=False)
    """Patterns and list files that name the samples to validate on."""


class BatchSize(StrictSettings):
    """Images per step, on each device."""

    train: Positive = PLUGIN.batch_train
    """Images of a training step."""
    val: Positive = PLUGIN.batch_val
    """Images of a validation step."""


class DataWorkers(StrictSettings):
    """Processes that load images; with 0 the trainer loads them itself."""

    train: Count = PLUGIN.workers_train
    """Processes that load training images."""
    val: Count = PLUGIN.workers_val
    """Processes that load validation images."""


class InputSize(StrictSettings):
    """Size to which images are stretched without `recipe`; with it, the size of the crops."""

    width: Side = PLUGIN.input_size[1]
    """Width in pixels."""
    height: Side = PLUGIN.input_size[0]
    """Height in pixels."""


class AllowCorrupted(StrictSettings):
    """Number of distinct samples that may fail to load, in the whole run."""

    train: Count = PLUGIN.allow_corrupted_train
    """Training samples that may fail to load."""
    val: Count = PLUGIN.allow_corrupted_val
    """Validation samples that may fail to load."""


class SpecialClasses(StrictSettings):
    """Classes that are not learned."""

    neutral: Name = "neutral"
    """Pixels of this class count in no loss and no score."""


_PATIENCE = PatienceSchedule()


class LrDecreasing(StrictSettings):
    """When and how much the learning rate falls."""

    patience: Positive = _PATIENCE.patience
    """Number of validations without a better loss before the rate falls."""
    lr_divisor: float = Field(_PATIENCE.divisor, gt=0)
    """Number by which the rate is divided."""


def _not_empty(value: object) -> object:
    if value is None:
        raise ValueError("nothing in it; write {} for its defaults, or leave it out")
    return value


class TrainConfig(StrictSettings):
    """All settings of `icstream train`."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"splits"})

    dataset_tags: DatasetTags = DatasetTags()
    """Which images are for training and which for validation."""
    batch_size: BatchSize = BatchSize()
    """Images per step, on each device."""
    data_workers: DataWorkers = DataWorkers()
    """Processes that load images."""
    input_size: InputSize = InputSize()
    """Size that the network sees in training."""
    allow_corrupted_samples: AllowCorrupted = AllowCorrupted()
    """Number of samples that may be unreadable."""
    special_classes: SpecialClasses = SpecialClasses()
    """Classes that are not learned."""
    epochs: Positive = PLUGIN.epochs
    """Passes over the training images."""
    val_every: float = Field(PLUGIN.val_every, gt=0)
    """Epochs between validations; one follows at the end in any case."""
    lr: float = Field(PLUGIN.lr, gt=0)
    """Initial learning rate."""
    lr_decreasing: LrDecreasing = LrDecreasing()
    """How the learning rate falls, unless `recipe` has another schedule."""
    weights_init_type: InitType = PLUGIN.init
    """transfer_learning takes all but the classifiers from the initial weights; continue_training
    takes everything."""
    gpu_devices: list[Count] = Field(list(PLUGIN.gpu_devices), min_length=1)
    """CUDA devices; without CUDA the CPU trains."""
    use_batchnorm: bool = PLUGIN.use_batchnorm
    """Whether there is batch norm; without it every convolution has a bias instead."""
    recipe: Annotated[Recipe | None, BeforeValidator(_not_empty)] = None
    """What goes beyond the plugin; without it everything is as the plugin does it."""
    splits: Splits = Splits()
    """Which samples are for training and which for validation, by their names."""
    seed: int = Field(PLUGIN.seed, ge=0, lt=2**63)
    """Seed of everything that is random."""
    checkpoint_every_steps: Count = PLUGIN.checkpoint_every_steps
    """Steps between states saved for --resume, besides those at each validation; 0 for none."""
    keep_every_validation: bool = PLUGIN.keep_every_validation
    """Whether the weights of each validation are kept, as by the plugin; else the last and best."""

    def settings(self) -> TrainSettings:
        """Return the settings as the trainer takes them."""
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
        """Return the plugin's settings alone, with defaults, as JSON values it would accept."""
        return self.model_dump(mode="json", exclude=_BEYOND_PLUGIN)


def load_train_config(file: str, assignments: Iterable[str] = ()) -> TrainConfig:
    """Return the configuration; later sources win.

    Args:
        file: a JSON or YAML file, or the name of a preset.
        assignments: "section.key=value" texts, values read as YAML.

    Raises:
        ConfigError: some settings cannot be used; each has a clause with its path.
    """
    reader = SettingsReader(TrainConfig, file, kind="train")
    reader.assign(assignments)
    errors = [*_spell(reader.values), *_idle(reader.values)]
    config = reader.check(errors=errors, refusals=_REFUSALS)
    _warn(config)
    return config


def _spell(values: dict[str, Any]) -> list[str]:
    """Rename the misspelt key, or return a clause if the right one is there too."""
    if MISSPELT not in values:
        return []
    section = values.pop(MISSPELT)
    if "lr_decreasing" in values:
        return [f"{MISSPELT}: a misspelling of lr_decreasing, which is there too; keep that one"]
    log.warning("%s is taken for lr_decreasing", MISSPELT)
    values["lr_decreasing"] = section
    return []


def _idle(values: Mapping[str, Any]) -> list[str]:
    """Return a clause for each section that was written and that another setting makes idle."""
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
