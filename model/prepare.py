"""From a picture to the network's input."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model.geometry import Geometry
from icstream.model.labels import Colour


def prepare(
    picture_HW3: NDArray[np.uint8],
    geometry: Geometry,
    mean_colour: Colour,
    empty: Callable[[tuple[int, ...], type[np.uint8]], NDArray[np.uint8]] = np.empty,
) -> NDArray[np.uint8]:
    """Gives the (h, w, 3) input of `geometry.outer`: the picture top left, the rest mean colour.

    Args:
        picture_HW3: RGB of `geometry.source` size; it is copied.
        geometry: as `Fit.geometry` gives it.
        mean_colour: the model's mean, which becomes almost zero behind the network's input.
        empty: gives the memory for the input, told its shape and type.
    """
    height, width = geometry.inner
    if geometry.resized:
        resized = cv2.resize(picture_HW3, (width, height), interpolation=cv2.INTER_LINEAR)
        picture_HW3 = np.asarray(resized, np.uint8)
    prepared = empty((*geometry.outer, 3), np.uint8)
    prepared[:height, :width] = picture_HW3
    prepared[height:] = mean_colour
    prepared[:height, width:] = mean_colour
    return prepared
