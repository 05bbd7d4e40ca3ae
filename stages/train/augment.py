"""Views of labeled images: random ones for training, a fixed one for validation.

A random view depends only on the seed, the epoch and the sample, never on the process or on earlier
draws, so that training can be resumed anywhere with any number of loader processes.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import Fit, Geometry, prepare_input
from icstream.model.labels import Color
from icstream.stages.data import VOID, LabeledImage
from icstream.stages.train.draws import log_uniform
from icstream.stages.train.settings import Augmentation, Size

Generator = np.random.Generator

_LUMA_3 = np.array([0.299, 0.587, 0.114])
"""The shares of red, green and blue in luma, by ITU-R BT.601."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class View:
    """A network input and its labels."""

    input_hw3: NDArray[np.uint8]
    """The RGB image for the network."""
    ids_hw: NDArray[np.uint8]
    """The class ids of its pixels, or `VOID`."""


def fitted_view(image: LabeledImage, fit: Fit, mean_color: Color) -> tuple[View, Geometry]:
    """Return the whole image, fitted as in inference, and its geometry.

    Padding is `VOID`; each pixel of the input has the nearest label.
    """
    size = image.ids_HW.shape
    geometry = fit.geometry((size[0], size[1]))
    height, width = geometry.inner
    ids_hw = np.full(geometry.outer, VOID, np.uint8)
    ids_hw[:height, :width] = cv2.resize(
        image.ids_HW, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    input_hw3 = prepare_input(image.rgb_HW3, geometry, mean_color)
    return View(input_hw3=input_hw3, ids_hw=ids_hw), geometry


def random_view(
    image: LabeledImage,
    augmentation: Augmentation,
    rng: Generator,
    *,
    size: Size,
    input_scale: int,
    mean_color: Color,
) -> View:
    """Return a crop of `size` from the zoomed, rotated, mirrored and recolored image.

    Outside the image, the crop has the mean color and is `VOID`.
    """
    height, width = image.ids_HW.shape
    zoom = input_scale * log_uniform(augmentation.scale, rng)
    degrees = rng.uniform(-1, 1) * augmentation.rotation_degrees
    mirrored = augmentation.flip and rng.random() < 0.5
    to_view = _placement((height, width), size, zoom, degrees, mirrored, rng)
    view_size = (size[1], size[0])
    input_hw3 = cv2.warpAffine(
        image.rgb_HW3,
        to_view,
        view_size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=mean_color,
    )
    ids_hw = cv2.warpAffine(
        image.ids_HW,
        to_view,
        view_size,
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=VOID,
    )
    input_hw3 = recolored(np.asarray(input_hw3, np.uint8), augmentation.color, rng)
    return View(input_hw3=input_hw3, ids_hw=np.asarray(ids_hw, np.uint8))


def whole_view(
    image: LabeledImage, augmentation: Augmentation, rng: Generator, fit: Fit, mean: Color
) -> View:
    """Return the whole image as `fitted_view` does, randomly mirrored and recolored."""
    image_HW3, ids_HW = image.rgb_HW3, image.ids_HW
    if augmentation.flip and rng.random() < 0.5:
        image_HW3, ids_HW = image_HW3[:, ::-1], ids_HW[:, ::-1]
    image_HW3 = recolored(np.ascontiguousarray(image_HW3), augmentation.color, rng)
    return fitted_view(LabeledImage(image_HW3, np.ascontiguousarray(ids_HW)), fit, mean)[0]


def _placement(
    size: Size, view: Size, zoom: float, degrees: float, mirrored: bool, rng: Generator
) -> NDArray[np.float64]:
    """Return the (2, 3) map from image pixels to view pixels.

    The image rotates about its center; along each axis the view lies within the zoomed image, or
    the image within a larger view.
    """
    angle = math.radians(degrees)
    linear = zoom * np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    if mirrored:
        linear[:, 0] *= -1
    center = (np.array(size[::-1]) - 1) / 2
    slack = zoom * np.array(size[::-1]) - np.array(view[::-1])
    middle = (np.array(view[::-1]) - 1) / 2 + rng.uniform(-0.5, 0.5, 2) * slack
    return np.hstack([linear, (middle - linear @ center)[:, None]])


def recolored(image_HW3: NDArray[np.uint8], strength: float, rng: Generator) -> NDArray[np.uint8]:
    """Return the image with random changes of brightness, contrast, saturation and hue.

    All four are linear in red, green and blue, and are combined into one matrix.
    """
    if strength <= 0:
        return image_HW3
    brightness, contrast, saturation, hue = strength * rng.uniform(-1, 1, 4)
    gray = np.tile(_LUMA_3, (3, 1))
    matrix = gray + (1 + saturation) * (_about_gray(0.4 * hue) - gray)
    matrix *= 1 + contrast
    offset = 64 * brightness + 128 * (1 - matrix.sum(1))
    return np.asarray(cv2.transform(image_HW3, np.hstack([matrix, offset[:, None]])), np.uint8)


def _about_gray(radians: float) -> NDArray[np.float64]:
    """Return the rotation of colors about the axis from black to white (Rodrigues' formula)."""
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    along = np.full((3, 3), 1 / 3)
    cosine = math.cos(radians)
    return cosine * np.eye(3) + math.sin(radians) * cross + (1 - cosine) * along
