"""Samples of an image and a PNG of class ids, for folders and Cityscapes."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icstream.model.errors import SampleError
from icstream.model.labels import VOID
from icstream.stages.data.samples import LabeledImage
from icstream.stages.image_files import read_ids, read_image
from icstream.stages.input_files import naming

NO_ID = -1
"""The entry in a table of ids for pixel values that are not allowed."""


@dataclass(frozen=True, slots=True)
class IdSample:
    """A sample of an image and its label image."""

    name: str
    image: Path
    label: Path
    table: NDArray[np.int16] = field(compare=False, repr=False)
    """The (256,) class ids, `VOID` or `NO_ID` for each pixel value of the label image."""

    def load(self) -> LabeledImage:
        """Implement `Sample.load`."""
        rgb_HW3 = read_image(self.image, decoder="opencv")
        values_HW = read_ids(self.label)
        with naming(self.label):
            if values_HW.shape != rgb_HW3.shape[:2]:
                (height, width), (rows, columns) = values_HW.shape, rgb_HW3.shape[:2]
                raise SampleError(f"is {width}x{height}, its image {columns}x{rows}")
            ids_HW = self.table[values_HW]
            if ids_HW.min(initial=0) < 0:
                odd = sorted(set(values_HW[ids_HW < 0].tolist()))
                raise SampleError(f"id {', '.join(map(str, odd))} belongs to no class")
        return LabeledImage(rgb_HW3, ids_HW.astype(np.uint8))


def plain_table(num_classes: int, *, void: tuple[int, ...] = ()) -> NDArray[np.int16]:
    """Return the table for labels with class ids, of which 255 and those in `void` are void."""
    table = np.full(256, NO_ID, np.int16)
    table[:num_classes] = np.arange(num_classes)
    table[[VOID, *void]] = VOID
    return table
