"""The shapes of Supervisely's objects, and their rasterization.

Nothing is anti-aliased, and pixels outside the canvas are dropped. Points are rows of (x, y), in
pixels from the top left corner.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray


class ObjectGeometry(Protocol):
    """The geometry of an object."""

    def paint(self, canvas_HW: NDArray[np.uint8], value: int) -> None:
        """Set the object's pixels to a value."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Bitmap:
    """A geometry of the true pixels of a mask."""

    left: int
    top: int
    mask_HW: NDArray[np.bool_]

    def paint(self, canvas_HW: NDArray[np.uint8], value: int) -> None:
        """Implement `ObjectGeometry.paint`."""
        height, width = self.mask_HW.shape
        y, x = max(0, self.top), max(0, self.left)
        window_HW = canvas_HW[y : max(y, self.top + height), x : max(x, self.left + width)]
        inside_HW = self.mask_HW[y - self.top :, x - self.left :]
        inside_HW = inside_HW[: window_HW.shape[0], : window_HW.shape[1]]
        window_HW[inside_HW] = value


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A polygon with outline, minus holes with outlines.

    Holes leave earlier pixels unchanged. The overlap of two holes is not a hole.
    """

    exterior_N2: NDArray[np.int32]
    interiors: tuple[NDArray[np.int32], ...] = ()
    """The outlines, (N, 2) each."""

    def paint(self, canvas_HW: NDArray[np.uint8], value: int) -> None:
        """Implement `ObjectGeometry.paint`."""
        if not self.interiors:
            cv2.fillPoly(canvas_HW, [self.exterior_N2], value)
            return
        # The window contains every outline completely, as OpenCV slightly bends lines that it
        # clips.
        points_N2 = np.concatenate([self.exterior_N2, *self.interiors])
        size = (canvas_HW.shape[1], canvas_HW.shape[0])
        left, top = (int(v) for v in np.clip(points_N2.min(0), 0, size))
        right, bottom = (int(v) for v in np.clip(points_N2.max(0) + 1, 0, size))
        mask_HW = np.zeros((bottom - top, right - left), np.uint8)
        if mask_HW.size == 0:
            return
        cv2.fillPoly(mask_HW, [self.exterior_N2], 1, offset=(-left, -top))
        cv2.fillPoly(mask_HW, list(self.interiors), 0, offset=(-left, -top))
        canvas_HW[top:bottom, left:right][mask_HW > 0] = value


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle between two corners, inclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def paint(self, canvas_HW: NDArray[np.uint8], value: int) -> None:
        """Implement `ObjectGeometry.paint`."""
        rows = slice(max(0, self.top), max(0, self.bottom + 1))
        canvas_HW[rows, max(0, self.left) : max(0, self.right + 1)] = value


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """An open polyline, one pixel wide."""

    points_N2: NDArray[np.int32]

    def paint(self, canvas_HW: NDArray[np.uint8], value: int) -> None:
        """Implement `ObjectGeometry.paint`."""
        cv2.polylines(canvas_HW, [self.points_N2], False, value, thickness=1, lineType=cv2.LINE_8)


@dataclass(frozen=True, slots=True, eq=False)
class Dots:
    """Single pixels: a point, or the nodes of a graph."""

    points_N2: NDArray[np.int32]

    def paint(self, canvas_HW: NDArray[np.uint8], value: int) -> None:
        """Implement `ObjectGeometry.paint`."""
        height, width = canvas_HW.shape
        for x, y in self.points_N2:
            if 0 <= x < width and 0 <= y < height:
                canvas_HW[y, x] = value


@dataclass(frozen=True, slots=True, eq=False)
class Cuboid:
    """The visible faces of a box, filled."""

    faces: tuple[NDArray[np.int32], ...]
    """The outlines, (N, 2) each."""

    def paint(self, canvas_HW: NDArray[np.uint8], value: int) -> None:
        """Implement `ObjectGeometry.paint`."""
        for face_N2 in self.faces:
            cv2.fillPoly(canvas_HW, [face_N2], value)
