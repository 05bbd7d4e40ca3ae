"""Labeled images for tests: stripes whose classes differ in color."""

from dataclasses import dataclass

import numpy as np

from icstream.model import LabelSet
from icstream.stages.data import VOID, LabeledData, LabeledImage, Sample, SampleError

LABELS = LabelSet.from_values(
    [("dark", (20, 20, 20)), ("red", (200, 40, 40)), ("green", (40, 200, 40))]
)


@dataclass(frozen=True, slots=True)
class Stripes:
    """One image, whose content depends on its number."""

    number: int
    size: tuple[int, int] = (80, 100)
    corrupted: bool = False

    @property
    def name(self) -> str:
        return f"stripes {self.number}"

    def load(self) -> LabeledImage:
        if self.corrupted:
            raise SampleError(f"{self.name}: cannot be read")
        rng = np.random.default_rng(self.number)
        ids = np.zeros(self.size, np.uint8)
        for _ in range(4):
            start, width = rng.integers(0, self.size[1]), rng.integers(8, 30)
            ids[:, start : start + width] = rng.integers(0, len(LABELS))
        colors = np.array(LABELS.colors)[ids]
        image = np.clip(colors + rng.integers(-20, 21, (*self.size, 3)), 0, 255)
        ids[:2] = VOID
        return LabeledImage(image.astype(np.uint8), ids)


def stripes_data(num_train: int = 12, num_val: int = 3) -> LabeledData:
    splits = {
        "train": tuple(Stripes(i) for i in range(num_train)),
        "val": tuple(Stripes(1000 + i) for i in range(num_val)),
    }
    return LabeledData("stripes", "folder", LABELS, splits)


@dataclass(frozen=True, slots=True)
class Halved:
    """A sample with void in its right half, or everywhere."""

    sample: Sample
    whole: bool = False

    @property
    def name(self) -> str:
        return self.sample.name

    def load(self) -> LabeledImage:
        image = self.sample.load()
        image.ids_HW[:, 0 if self.whole else image.ids_HW.shape[1] // 2 :] = VOID
        return image
