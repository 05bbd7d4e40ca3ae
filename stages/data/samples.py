"""What training and evaluation see of a data set, whatever layout it has on disk."""

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
    """(H, W, 3) RGB."""
    ids_HW: NDArray[np.uint8]
    """(H, W) class ids, positions in the label set, or `VOID`."""

    def __post_init__(self) -> None:
        if self.rgb_HW3.shape != (*self.ids_HW.shape, 3):
            raise SampleError(
                f"image {self.rgb_HW3.shape} and labels {self.ids_HW.shape} differ in size"
            )


class Sample(Protocol):
    """One labeled image on disk; small, and may be sent to a worker process."""

    @property
    def name(self) -> str:
        """Unique within the data set, for people: "street_a/0001.png"."""
        ...

    def load(self) -> LabeledImage:
        """Read both files, and return what is in them.

        Raises:
            SampleError: a file is missing, damaged, or does not fit the other.
        """
        ...


@dataclass(frozen=True, slots=True)
class LabeledData:
    """A data set: its classes, and the samples of each split in a fixed order."""

    origin: str
    """Folder of the data set, as people read it."""
    format: str
    """Layout on disk: "supervisely", "folder" or "cityscapes"."""
    labels: LabelSet
    """What the network tells apart, in the order of the ids."""
    splits: Mapping[str, tuple[Sample, ...]]
    """Samples of "train", "val" and "test", each of which may be empty or missing."""
    corrupted: tuple[str, ...] = ()
    """A line for each file so damaged that its split is unknown; training counts each as a
    corrupted sample of the training set."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Why nothing can be trained or scored on a split, by its name."""
    left_out: tuple[str, ...] = ()
    """A line for each kind of objects that are left out, while their images are used."""

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of a split.

        Raises:
            ConfigError: there is none of that name, nothing is in it, or it cannot be used.
        """
        if name in self.faults:
            raise ConfigError(f"{self.origin}: {self.faults[name]}")
        samples = self.splits.get(name, ())
        if not samples:
            known = ", ".join(f"{key} ({len(value)})" for key, value in self.splits.items())
            raise ConfigError(f"{self.origin}: no samples in the split {name!r}; it has {known}")
        return samples
