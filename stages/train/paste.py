"""Copy-paste augmentation: objects of rare classes, cut out of training images.

This follows Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method" (CVPR 2021),
adapted to class masks: an object is a connected region of one class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.stages.data import LabeledImage, Sample, SampleError
from icstream.stages.train.draws import log_uniform
from icstream.stages.train.settings import Paste

Generator = np.random.Generator

_MIN_SHARE, _MAX_SHARE = 1e-4, 0.1
"""The smallest and largest share of the image's pixels of regions that count as objects."""
_MAX_KEPT = 1000
"""The largest number of objects of a class that are kept in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class CutOut:
    """An object, with its position in its image."""

    class_id: int
    """The class of its pixels."""
    rgb_hw3: NDArray[np.uint8]
    """The RGB image of its bounding box."""
    mask_hw: NDArray[np.uint8]
    """The mask, 1 inside the object and 0 outside."""
    image_height: int
    """The height of its image."""
    bottom: int
    """The row below its lowest row."""


def cut_out_objects(
    samples: Sequence[Sample], class_ids: Sequence[int]
) -> Mapping[int, tuple[CutOut, ...]]:
    """Return the objects of each class that has any, ignoring samples that cannot be read.

    Regions that touch the left or right edge of their image are truncated and left out. Of more
    than `_MAX_KEPT` objects, an even selection over the samples is kept.
    """
    found: dict[int, list[CutOut]] = {class_id: [] for class_id in class_ids}
    for sample in samples:
        try:
            image = sample.load()
        except SampleError:
            continue
        for class_id in class_ids:
            found[class_id] += _objects(image, class_id)
    return {class_id: _spread(objects) for class_id, objects in found.items() if objects}


def with_pasted(
    image: LabeledImage,
    objects: Mapping[int, Sequence[CutOut]],
    paste: Paste,
    rng: Generator,
) -> LabeledImage:
    """Return the image with 0 to `paste.max_objects` objects pasted into it.

    Classes are drawn uniformly, then an object of the class. It is pasted at its original height,
    as objects at the same distance have, at a random position along the row, mirrored or not.
    """
    num_objects = int(rng.integers(paste.max_objects + 1))
    if num_objects == 0 or not objects:
        return image
    rgb_HW3, ids_HW = image.rgb_HW3.copy(), image.ids_HW.copy()
    class_ids = sorted(objects)
    for _ in range(num_objects):
        choice = objects[class_ids[int(rng.integers(len(class_ids)))]]
        _paste_one(rgb_HW3, ids_HW, choice[int(rng.integers(len(choice)))], paste, rng)
    return LabeledImage(rgb_HW3, ids_HW)


def _objects(image: LabeledImage, class_id: int) -> list[CutOut]:
    """Return the objects of a class in an image: its connected regions of suitable size."""
    mask_HW = (image.ids_HW == class_id).astype(np.uint8)
    height, width = mask_HW.shape
    _, regions_HW, stats, _ = cv2.connectedComponentsWithStats(mask_HW)
    objects = []
    for region, (x, y, w, h, area) in enumerate(stats.tolist()):
        at_edge = x == 0 or x + w == width
        if region == 0 or at_edge or not _MIN_SHARE <= area / mask_HW.size <= _MAX_SHARE:
            continue
        box = np.s_[y : y + h, x : x + w]
        mask_hw = (regions_HW[box] == region).astype(np.uint8)
        objects.append(CutOut(class_id, image.rgb_HW3[box].copy(), mask_hw, height, y + h))
    return objects


def _spread(objects: list[CutOut]) -> tuple[CutOut, ...]:
    """Return at most `_MAX_KEPT` of the objects, evenly spaced."""
    kept = np.linspace(0, len(objects) - 1, min(len(objects), _MAX_KEPT)).astype(int)
    return tuple(objects[i] for i in kept)


def _paste_one(
    rgb_HW3: NDArray[np.uint8],
    ids_HW: NDArray[np.uint8],
    cut_out: CutOut,
    paste: Paste,
    rng: Generator,
) -> None:
    """Paint the object over the image and its labels, clipped to the image."""
    height, width = ids_HW.shape
    zoom = log_uniform(paste.scale, rng) * height / cut_out.image_height
    h, w = (max(1, round(side * zoom)) for side in cut_out.mask_hw.shape)
    x = int(rng.integers(-(w // 2), width - w // 2))
    y = round(cut_out.bottom * height / cut_out.image_height) - h
    object_hw3 = cv2.resize(cut_out.rgb_hw3, (w, h), interpolation=cv2.INTER_LINEAR)
    mask_hw = cv2.resize(cut_out.mask_hw * 255, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        object_hw3, mask_hw = object_hw3[:, ::-1], mask_hw[:, ::-1]
    top, left = max(y, 0), max(x, 0)
    inside = np.s_[top - y : height - y, left - x : width - x]
    object_hw3, mask_hw = object_hw3[inside], mask_hw[inside]
    place = np.s_[top : top + mask_hw.shape[0], left : left + mask_hw.shape[1]]
    opacity_hw1 = mask_hw[..., None] / np.float32(255)
    mixed_hw3 = object_hw3 * opacity_hw1 + rgb_HW3[place] * (1 - opacity_hw1)
    rgb_HW3[place] = np.rint(mixed_hw3).astype(np.uint8)
    ids_HW[place][mask_hw >= 128] = cut_out.class_id
