"""Loading of batches: the order of an epoch, loader processes, failed samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from icstream.model import ConfigError, Fit, Geometry
from icstream.model.labels import Color
from icstream.stages.data import VOID, LabeledImage, Sample, SampleError
from icstream.stages.train.augment import View, fitted_view, random_view, whole_view
from icstream.stages.train.loader import load_batches
from icstream.stages.train.paste import CutOut, with_pasted
from icstream.stages.train.settings import Augmentation, TrainSettings

_MAX_SUBSTITUTES = 100
"""The number of consecutive failed samples that ends the training."""

Failures = dict[str, str]
"""The errors of samples, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One view of an epoch, which determines all its random numbers."""

    epoch: int
    """The epoch, from 0."""
    index: int
    """The number of the sample, from 0."""
    whole: bool
    """Whether the view is the whole image rather than a crop."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Batch:
    """The batch of one step."""

    rgb_NHW3: Tensor
    """The images, in uint8."""
    ids_NHW: Tensor
    """The class ids, or `VOID`, in uint8."""
    failures: Failures
    """The samples that failed."""


def epoch_order(num_samples: int, *, seed: int, epoch: int, ranks: int = 1) -> NDArray[np.int64]:
    """Return the order of samples in an epoch, equal on every rank and machine.

    The order is repeated at its end until all ranks get the same number of samples.
    """
    order = np.random.default_rng((seed, epoch, 0)).permutation(num_samples)
    return np.resize(order, -(-num_samples // ranks) * ranks)


class TrainViews(Dataset[tuple[View, Failures]]):
    """The views of the training samples by `Draw`, created when they are requested."""

    def __init__(
        self,
        samples: Sequence[Sample],
        settings: TrainSettings,
        fit: Fit,
        mean_color: Color,
        *,
        objects: Mapping[int, Sequence[CutOut]] | None = None,
    ) -> None:
        """Set the sources of the views.

        Args:
            samples: The training samples.
            settings: The settings of the training.
            fit: The fit of whole images.
            mean_color: The color of padding.
            objects: The objects to paste by class, or None.
        """
        self._samples = samples
        self._settings = settings
        self._fit = fit
        self._mean_color = mean_color
        self._objects = objects or {}

    def __getitem__(self, draw: Draw) -> tuple[View, Failures]:
        """Return a view, and the samples that failed.

        A sample that cannot be used is replaced by another one of the set.
        """
        rng = np.random.default_rng((self._settings.seed, draw.epoch, 1, draw.index))
        index, failures = draw.index, {}
        for _ in range(_MAX_SUBSTITUTES):
            try:
                image = self._samples[index].load()
            except SampleError as error:
                failures[self._samples[index].name] = str(error)
                index = int(rng.integers(len(self._samples)))
                continue
            return self._view(image, draw.whole, rng), failures
        raise ConfigError(
            f"{_MAX_SUBSTITUTES} samples in a row could not be used, the last:"
            f" {list(failures.values())[-1]}"
        )

    def _view(self, image: LabeledImage, whole: bool, rng: np.random.Generator) -> View:
        settings = self._settings
        if settings.augmentation is None:
            return fitted_view(image, self._fit, self._mean_color)[0]
        image = self._changed(image, settings.augmentation, whole, rng)
        if whole:
            return whole_view(image, settings.augmentation, rng, self._fit, self._mean_color)
        return random_view(
            image,
            settings.augmentation,
            rng,
            size=settings.input_size,
            input_scale=settings.input_scale,
            mean_color=self._mean_color,
        )

    def _changed(
        self, image: LabeledImage, augmentation: Augmentation, whole: bool, rng: np.random.Generator
    ) -> LabeledImage:
        """Return the image with pasted objects and photometric changes."""
        if augmentation.paste is not None and not whole:
            image = with_pasted(image, self._objects, augmentation.paste, rng)
        if augmentation.photometric is None:
            return image
        from icstream.stages.train.photometric import photographed  # needs torchvision

        rgb_HW3 = photographed(image.rgb_HW3, augmentation.photometric, rng)
        return LabeledImage(rgb_HW3, image.ids_HW)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBatches:
    """The batches of a rank, from any step."""

    views: TrainViews
    """The views of which batches consist."""
    num_samples: int
    """The number of training samples."""
    settings: TrainSettings
    """The settings of the training."""
    mean_color: Color
    """The color of padding beside smaller views."""
    rank: int = 0
    """The number of this rank."""
    ranks: int = 1
    """The number of ranks that share the samples."""

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of an epoch, the last of which may be smaller."""
        share = -(-self.num_samples // self.ranks)
        return -(-share // self.settings.batch_train)

    @property
    def num_steps(self) -> int:
        """The number of batches of the whole training."""
        return self.settings.epochs * self.steps_per_epoch

    def _is_whole(self, step: int) -> bool:
        """Return whether this step of the training uses whole images."""
        augmentation = self.settings.augmentation
        share = augmentation.whole_frames_share if augmentation else 0.0
        return step >= round((1 - share) * self.num_steps)

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Yield this rank's batches from a step of the training to its end.

        All epochs use the same workers, as starting new ones takes as long as several steps.
        """
        yield from load_batches(
            self.views,
            _Draws(self, first_step),
            workers=self.settings.workers_train,
            collate=_Collate(self.mean_color),
        )

    def draws(self, first_step: int) -> Iterator[list[Draw]]:
        """Yield the draws of this rank's batches."""
        size, per_epoch = self.settings.batch_train, self.steps_per_epoch
        for epoch in range(first_step // per_epoch, self.settings.epochs):
            order = epoch_order(
                self.num_samples, seed=self.settings.seed, epoch=epoch, ranks=self.ranks
            )[self.rank :: self.ranks]
            for step in range(per_epoch):
                total = epoch * per_epoch + step
                if total >= first_step:
                    chosen = order[step * size : (step + 1) * size]
                    whole = self._is_whole(total)
                    yield [Draw(epoch=epoch, index=int(i), whole=whole) for i in chosen]


@dataclass(frozen=True, slots=True)
class _Draws:
    """The iterable of draws for a loader."""

    batches: TrainBatches
    first_step: int

    def __iter__(self) -> Iterator[list[Draw]]:
        return self.batches.draws(self.first_step)


@dataclass(frozen=True, slots=True)
class _Collate:
    """The function that stacks views, padding smaller ones to the right and below."""

    mean_color: Color

    def __call__(self, made: list[tuple[View, Failures]]) -> Batch:
        views = [view for view, _ in made]
        height, width = (max(view.ids_hw.shape[axis] for view in views) for axis in (0, 1))
        rgb_NHW3 = np.empty((len(views), height, width, 3), np.uint8)
        rgb_NHW3[:] = self.mean_color
        ids_NHW = np.full((len(views), height, width), VOID, np.uint8)
        for i, view in enumerate(views):
            rows, columns = view.ids_hw.shape
            rgb_NHW3[i, :rows, :columns] = view.input_hw3
            ids_NHW[i, :rows, :columns] = view.ids_hw
        failures = {name: why for _, failed in made for name, why in failed.items()}
        return Batch(
            rgb_NHW3=torch.from_numpy(rgb_NHW3),
            ids_NHW=torch.from_numpy(ids_NHW),
            failures=failures,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A validation sample, fitted as in inference."""

    name: str
    """The name of the sample."""
    view: View
    """The network's input, and its labels."""
    geometry: Geometry
    """The placement of the image in the input."""
    ids_HW: NDArray[np.uint8]
    """The labels at the image's own size."""


class ValidationViews(Dataset[Fitted | Failures]):
    """The validation samples, fitted as in inference, or their failures."""

    def __init__(self, samples: Sequence[Sample], fit: Fit, mean_color: Color) -> None:
        self._samples = samples
        self._fit = fit
        self._mean_color = mean_color

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Fitted | Failures:
        sample = self._samples[index]
        try:
            image = sample.load()
        except SampleError as error:
            return {sample.name: str(error)}
        view, geometry = fitted_view(image, self._fit, self._mean_color)
        return Fitted(sample.name, view, geometry, image.ids_HW)


def validation_batches(
    views: ValidationViews, *, batch: int, workers: int, rank: int = 0, ranks: int = 1
) -> Iterator[list[Fitted] | Failures]:
    """Yield this rank's samples in order, in batches of one size, and the failures."""
    singles = [[i] for i in range(rank, len(views), ranks)]
    waiting: list[Fitted] = []
    for made in load_batches(views, singles, workers=workers, collate=_only):
        if isinstance(made, dict):
            yield made
            continue
        if waiting and (len(waiting) == batch or waiting[0].geometry.outer != made.geometry.outer):
            yield waiting
            waiting = []
        waiting.append(made)
    if waiting:
        yield waiting


def _only(made: list[Fitted | Failures]) -> Fitted | Failures:
    return made[0]
