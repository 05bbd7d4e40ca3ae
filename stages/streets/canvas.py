"""A pinhole camera that draws two images: colors and class ids.

World axes in meters: x to the right of the road's middle, y up from the road, z along the road
from the camera. Every shape is painted into both images by the same call with the same corners
and without anti-aliasing, so the mask is exact.
"""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model.labels import Color

NEAR = 1.2
"""The nearest distance that is drawn, in meters."""
FAR = 130.0
"""The farthest distance that is drawn, in meters, beyond which haze hides everything."""
_SUBPIXEL_BITS = 4

Points: TypeAlias = NDArray[np.float64]
Shade: TypeAlias = Sequence[float] | NDArray[np.float64]


class Canvas:
    """The image and mask of one instant, painted from far to near."""

    def __init__(self, size: tuple[int, int], *, eye: Points, horizon: float, haze: Points) -> None:
        """Create an empty canvas.

        Args:
            size: The (height, width) in pixels.
            eye: The (2,) x and y of the camera in meters.
            horizon: The row of the horizon, as a share of the height.
            haze: The (4,) color of the haze, and the distance in meters at which it absorbs half.
        """
        self.height, self.width = size
        self.rgb = np.zeros((*size, 3), np.uint8)
        self.ids = np.zeros(size, np.uint8)
        self.focal = 0.9 * self.width
        self.center = self.width / 2, horizon * self.height
        self.eye = eye
        self._haze = haze

    def project(self, points: Points) -> Points:
        """Return the (..., 2) pixels (column, row) of (..., 3) points before the camera."""
        scale = self.focal / np.maximum(points[..., 2], NEAR)
        column = self.center[0] + (points[..., 0] - self.eye[0]) * scale
        row = self.center[1] - (points[..., 1] - self.eye[1]) * scale
        return np.stack([column, row], axis=-1)

    def pixels(self, meters: float, z: float) -> float:
        """Return the length in pixels of a length at a distance, both in meters."""
        return meters * self.focal / max(z, NEAR)

    def hazed(self, color: Shade, z: float) -> Color:
        """Return the color as seen through a distance of air, in meters."""
        share = 1 - 0.5 ** (max(z, 0) / self._haze[3])
        mixed = np.asarray(color) * (1 - share) + self._haze[:3] * share
        red, green, blue = np.clip(mixed, 0, 255).astype(int).tolist()
        return red, green, blue

    def polygons(self, corners: Points, color: Shade, z: float, class_id: int | None) -> None:
        """Paint (n, corners, 3) flat polygons in one color; None leaves the mask unchanged."""
        positions = np.clip(self.project(corners), -1e4, 1e4) * (1 << _SUBPIXEL_BITS)
        shapes = list(np.rint(positions).astype(np.int32))
        cv2.fillPoly(self.rgb, shapes, self.hazed(color, z), shift=_SUBPIXEL_BITS)
        if class_id is not None:
            cv2.fillPoly(self.ids, shapes, (class_id,), shift=_SUBPIXEL_BITS)

    def polygon(
        self, corners: Sequence[Sequence[float]], color: Shade, class_id: int | None
    ) -> None:
        """Paint one polygon of (x, y, z) corners, hazed by its nearest one."""
        points = np.asarray(corners, np.float64)
        self.polygons(points[None], color, float(points[:, 2].min()), class_id)

    def upright(
        self,
        left: float,
        right: float,
        bottom: float,
        top: float,
        z: float,
        color: Shade,
        class_id: int | None,
    ) -> None:
        """Paint a rectangle that faces the camera."""
        corners = [(left, bottom, z), (right, bottom, z), (right, top, z), (left, top, z)]
        self.polygon(corners, color, class_id)

    def ellipses(
        self,
        centers: Points,
        radii: Points,
        colors: Points,
        class_id: int | None,
        *,
        thickness: float = 0.0,
    ) -> None:
        """Paint (n, 3) centers with (n, 2) radii in meters, facing the camera; 0 is filled."""
        positions = self.project(centers)
        for position, radius, color, center in zip(positions, radii, colors, centers, strict=True):
            z = float(center[2])
            axes = (
                max(1, round(self.pixels(float(radius[0]), z))),
                max(1, round(self.pixels(float(radius[1]), z))),
            )
            where = int(np.clip(position[0], -9e3, 9e3)), int(np.clip(position[1], -9e3, 9e3))
            line = max(1, round(self.pixels(thickness, z))) if thickness else cv2.FILLED
            cv2.ellipse(self.rgb, where, axes, 0, 0, 360, self.hazed(color, z), line)
            if class_id is not None:
                cv2.ellipse(self.ids, where, axes, 0, 0, 360, (class_id,), line)

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        color: Shade,
        class_id: int,
        *,
        taper: float = 0.0,
    ) -> None:
        """Paint the visible faces of a box, whose top is narrower by `taper`, in meters."""
        (left, right), (bottom, top), (near, far) = x, y, z
        near = max(near, NEAR)
        if far <= near:
            return
        shade = np.asarray(color, np.float64)
        t = taper
        if self.eye[1] > top:
            roof = [(left + t, top, near + t), (right - t, top, near + t)]
            roof += [(right - t, top, far - t), (left + t, top, far - t)]
            self.polygon(roof, shade * 1.12, class_id)
        for edge, inner, outside in (
            (left, t, self.eye[0] < left),
            (right, -t, self.eye[0] > right),
        ):
            if outside:
                side = [(edge, bottom, near), (edge, bottom, far)]
                side += [(edge + inner, top, far - t), (edge + inner, top, near + t)]
                self.polygon(side, shade * 0.72, class_id)
        front = [(left, bottom, near), (right, bottom, near)]
        front += [(right - t, top, near + t), (left + t, top, near + t)]
        self.polygon(front, shade * 0.9, class_id)
