"""Contact sheets of a data set's images and labels."""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import LabelSet
from icstream.model.errors import SampleError
from icstream.model.labels import VOID
from icstream.stages.contact_sheet import draw_contact_sheet
from icstream.stages.data.samples import LabeledData, LabeledImage, Sample

_CELL = (240, 400)
_PAPER = 255
_VOID_COLOR = (200, 200, 200)


def draw_sample_sheet(data: LabeledData, *, num_rows: int = 6) -> NDArray[np.uint8] | None:
    """Return an RGB image of samples from all over the data set, or None if none can be loaded.

    Images are scaled to one size with their aspect ratio kept; void is light gray.
    """
    samples = list({s.name: s for split in data.splits.values() for s in split}.values())
    rows = []
    for image in _loadable(samples, num_rows):
        labels = _colors(image.ids_HW, data.labels)
        rows.append([_fit(image.rgb_HW3, cv2.INTER_AREA), _fit(labels, cv2.INTER_NEAREST)])
    if not rows:
        return None
    return draw_contact_sheet(rows, titles=("image", "labels (void: gray)"), labels=data.labels)


def _loadable(samples: list[Sample], wanted: int) -> Iterator[LabeledImage]:
    """Return one image of each section of the list, the first that can be loaded."""
    bounds = np.linspace(0, len(samples), min(wanted, len(samples)) + 1).astype(int)
    for first, end in pairwise(bounds):
        for sample in samples[first:end]:
            try:
                yield sample.load()
            except SampleError:
                continue
            break


def _colors(ids_HW: NDArray[np.uint8], labels: LabelSet) -> NDArray[np.uint8]:
    palette = labels.palette()
    palette[VOID] = _VOID_COLOR
    return palette[ids_HW]


def _fit(image_HW3: NDArray[np.uint8], interpolation: int) -> NDArray[np.uint8]:
    """Return a white cell with the image scaled and centered."""
    height, width = image_HW3.shape[:2]
    zoom = min(_CELL[0] / height, _CELL[1] / width)
    size = (max(1, round(height * zoom)), max(1, round(width * zoom)))
    y, x = (_CELL[0] - size[0]) // 2, (_CELL[1] - size[1]) // 2
    cell = np.full((*_CELL, 3), _PAPER, np.uint8)
    cell[y : y + size[0], x : x + size[1]] = cv2.resize(
        image_HW3, size[::-1], interpolation=interpolation
    )
    return cell
