"""Data sets as used by training and evaluation, independent of their layout on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError, LabelSet
from icstream.model.errors import SampleError


@dataclass(frozen=True, slots=True, eq=False)
class LabeledImage:
    """An image and the class of each of its pixels."""

    rgb_HW3: NDArray[np.uint8]
    """The (H, W, 3) RGB."""
    ids_HW: NDArray[np.uint8]
    """The (H, W) class ids, which are positions in the label set or `VOID`."""

    def __post_init__(self) -> None:
        if self.rgb_HW3.shape != (*self.ids_HW.shape, 3):
            raise SampleError(
                f"image {self.rgb_HW3.shape} and labels {self.ids_HW.shape} differ in size"
            )


class Sample(Protocol):
    """One labeled image on disk, small enough to be sent to a worker process."""

    @property
    def name(self) -> str:
        """The unique name within the data set, such as "street_a/0001.png"."""
        ...

    def load(self) -> LabeledImage:
        """Return the image and its labels, read from disk.

        Raises:
            SampleError: A file is missing, damaged, or does not fit the other.
        """
        ...


@dataclass(frozen=True, slots=True)
class LabeledData:
    """A data set, with its classes and the samples of each split in a fixed order."""

    origin: str
    """The folder of the data set, for display."""
    format: str
    """The layout on disk: "supervisely", "folder" or "cityscapes"."""
    labels: LabelSet
    """The classes, in the order of their ids."""
    splits: Mapping[str, tuple[Sample, ...]]
    """The samples of "train", "val" and "test", each of which may be empty or missing."""
    corrupted: tuple[str, ...] = ()
    """A line for each file whose split is unknown due to damage; training counts it as a corrupted
    sample."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """The reason why a split cannot be used, by its name."""
    left_out: tuple[str, ...] = ()
    """A line for each kind of objects that are left out, while their images are used."""

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of a split.

        Raises:
            ConfigError: The split does not exist, is empty, or cannot be used.
        """
        if name in self.faults:
            raise ConfigError(f"{self.origin}: {self.faults[name]}")
        samples = self.splits.get(name, ())
        if not samples:
            known = ", ".join(f"{key} ({len(value)})" for key, value in self.splits.items())
            raise ConfigError(f"{self.origin}: no samples in the split {name!r}; it has {known}")
        return samples
