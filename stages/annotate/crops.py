"""The crops of an image that a mode segments."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError
from icstream.stages.annotate.modes import Bounds, MinOverlap, Padding, WindowSize, pixels
from icstream.stages.annotate.window_scores import Window
from icstream.stages.supervisely.geometries import (
    Bitmap,
    Cuboid,
    Dots,
    Line,
    ObjectGeometry,
    Polygon,
    Rectangle,
)


class MisfitError(ConfigError):
    """The mode cannot be applied to this image, though perhaps to others."""


def whole(size: tuple[int, int]) -> Window:
    """Return the window of a whole image of (height, width)."""
    return Window(0, 0, *size)


def region(size: tuple[int, int], bounds: Bounds) -> Window:
    """Return the window of an image of (height, width) within its margins.

    Raises:
        MisfitError: Nothing is left.
    """
    height, width = size
    window = Window(
        top=pixels(bounds.top, height),
        left=pixels(bounds.left, width),
        bottom=height - pixels(bounds.bottom, height),
        right=width - pixels(bounds.right, width),
    )
    if min(window.size) < 1:
        raise MisfitError(f"mode.bounds: nothing is left of an image of {width}x{height}")
    return window


def padded(box: Window, padding: Padding, size: tuple[int, int]) -> Window | None:
    """Return the box, padded and clipped to the image, or None if nothing is left."""
    height, width = box.size
    window = Window(
        top=max(0, box.top - pixels(padding.top, height)),
        left=max(0, box.left - pixels(padding.left, width)),
        bottom=min(size[0], box.bottom + pixels(padding.bottom, height)),
        right=min(size[1], box.right + pixels(padding.right, width)),
    )
    return window if min(window.size) >= 1 else None


def sliding(size: tuple[int, int], window: WindowSize, min_overlap: MinOverlap) -> Iterator[Window]:
    """Yield the windows row by row; the last of each row and column ends at the image's edge.

    Raises:
        MisfitError: The window is larger than the image.
    """
    _check_fit(size, window)
    height, width = size
    for top in _starts(height, window.height, min_overlap.y):
        for left in _starts(width, window.width, min_overlap.x):
            yield Window(top, left, top + window.height, left + window.width)


def count_sliding(size: tuple[int, int], window: WindowSize, min_overlap: MinOverlap) -> int:
    """Return the number of windows that `sliding` would yield.

    Raises:
        MisfitError: The window is larger than the image.
    """
    _check_fit(size, window)
    rows = len(_before_last(size[0], window.height, min_overlap.y)) + 1
    columns = len(_before_last(size[1], window.width, min_overlap.x)) + 1
    return rows * columns


def _check_fit(size: tuple[int, int], window: WindowSize) -> None:
    height, width = size
    if window.height > height or window.width > width:
        raise MisfitError(
            f"mode.window: {window.width}x{window.height} is larger than the image,"
            f" {width}x{height}"
        )


def _starts(side: int, window: int, min_overlap: int) -> list[int]:
    return [*_before_last(side, window, min_overlap), side - window]


def _before_last(side: int, window: int, min_overlap: int) -> range:
    return range(0, side - window, window - min_overlap)


def box_of(geometry: ObjectGeometry, size: tuple[int, int]) -> Window | None:
    """Return the bounding box of an object, clipped to an image of (height, width)."""
    box = _own_box(geometry)
    if box.top >= 0 and box.left >= 0 and box.bottom <= size[0] and box.right <= size[1]:
        return box
    canvas_HW = np.zeros(size, np.uint8)
    geometry.paint(canvas_HW, 1)
    x, y, width, height = cv2.boundingRect(canvas_HW)
    return Window(y, x, y + height, x + width) if width else None


def _own_box(geometry: ObjectGeometry) -> Window:
    if isinstance(geometry, Bitmap):
        x, y, width, height = cv2.boundingRect(geometry.mask_HW.astype(np.uint8))
        top, left = geometry.top + y, geometry.left + x
        return Window(top, left, top + height, left + width)
    if isinstance(geometry, Rectangle):
        return Window(geometry.top, geometry.left, geometry.bottom + 1, geometry.right + 1)
    return _box_around(_points(geometry))


def _points(geometry: ObjectGeometry) -> NDArray[np.int32]:
    if isinstance(geometry, Polygon):
        return geometry.exterior_N2
    if isinstance(geometry, Cuboid):
        return np.concatenate(geometry.faces)
    assert isinstance(geometry, Line | Dots)
    return geometry.points_N2


def _box_around(points_N2: NDArray[np.int32]) -> Window:
    if not len(points_N2):  # a graph whose nodes are all disabled
        return Window(0, 0, 0, 0)
    left, top = points_N2.min(0).tolist()
    right, bottom = points_N2.max(0).tolist()
    return Window(top, left, bottom + 1, right + 1)
