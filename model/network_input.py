"""Conversion of an image to the network's input."""

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model.errors import ConfigError
from icstream.model.geometry import Geometry
from icstream.model.labels import Color
from icstream.model.planar import Empty, copy_planes, empty_planar, is_planar, planes


def prepare_input(
    image_HW3: NDArray[np.uint8],
    geometry: Geometry,
    mean_color: Color,
    empty: Empty = np.empty,
) -> NDArray[np.uint8]:
    """Return the (h, w, 3) input of size `geometry.outer`: the image top left, the rest mean color.

    Args:
        image_HW3: The RGB image, of size `geometry.source`; it is copied.
        geometry: The result of `Fit.geometry`.
        mean_color: The model's mean, which the network maps to almost zero.
        empty: A function that returns the memory for the input, with planes one after another.

    Raises:
        ConfigError: The image is not an (H, W, 3) uint8 array of that size.
    """
    fault = image_fault(image_HW3, geometry.source)
    if fault:
        raise ConfigError(fault)
    height, width = geometry.inner
    input_hw3 = empty_planar(geometry.outer, empty)
    place_hw3 = input_hw3[:height, :width]
    if geometry.resized and is_planar(image_HW3):
        for plane_HW, place_hw in zip(planes(image_HW3), planes(place_hw3), strict=True):
            cv2.resize(plane_HW, (width, height), place_hw, interpolation=cv2.INTER_LINEAR)
    elif geometry.resized:
        resized = cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_LINEAR)
        copy_planes(np.asarray(resized, np.uint8), place_hw3)
    else:
        copy_planes(image_HW3, place_hw3)
    fill_margin(input_hw3, geometry, mean_color)
    return input_hw3


def image_fault(image_HW3: NDArray[np.uint8], size: tuple[int, int]) -> str | None:
    """Return the error of an image that should have (height, width), or None."""
    if image_HW3.dtype == np.uint8 and image_HW3.shape == (*size, 3):
        return None
    got = f"{image_HW3.shape} {image_HW3.dtype}"
    return f"an image must be an (H, W, 3) uint8 array, here {(*size, 3)}, got {got}"


def fill_margin(input_hw3: NDArray[np.uint8], geometry: Geometry, mean_color: Color) -> None:
    """Fill the input outside the image with the mean color."""
    height, width = geometry.inner
    input_hw3[height:] = mean_color
    input_hw3[:height, width:] = mean_color
