"""Images with separate red, green and blue planes, as networks read them.

Such an image is an ordinary (H, W, 3) array with other strides, which callers may ignore.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Empty = Callable[[tuple[int, ...], type[np.uint8]], NDArray[np.uint8]]
"""A function that returns memory for an array of a shape and type, as `np.empty` does."""


def empty_planar(size: tuple[int, int], empty: Empty = np.empty) -> NDArray[np.uint8]:
    """Return an (H, W, 3) array whose three planes are each contiguous."""
    return empty((3, *size), np.uint8).transpose(1, 2, 0)


def planes(image_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the (3, H, W) view of an image."""
    return image_HW3.transpose(2, 0, 1)


def is_planar(image_HW3: NDArray[np.uint8]) -> bool:
    """Return whether the rows of each plane are contiguous."""
    return image_HW3.strides[1] == 1


def copy_planes(image_HW3: NDArray[np.uint8], to_HW3: NDArray[np.uint8]) -> None:
    """Copy an image of any layout into a planar one."""
    if is_planar(image_HW3):
        np.copyto(to_HW3, image_HW3)
    else:
        cv2.split(image_HW3, list(planes(to_HW3)))


def interleaved(image_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image as a contiguous array with interleaved channels."""
    if is_planar(image_HW3):
        return np.asarray(cv2.merge(list(planes(image_HW3))), np.uint8)
    return np.ascontiguousarray(image_HW3)
