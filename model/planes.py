"""The network's input taken apart into planes, as OpenVINO likes it best."""

import cv2
import numpy as np
from numpy.typing import NDArray


class Planes:
    """Memory for inputs of one size, as `PlanarDeployGraph` takes them.

    Attributes:
        full_N3HW: red, green and blue, each by itself.
        half_N3hw: every second row and column of them.
    """

    def __init__(self, shape_NHW3: tuple[int, ...]) -> None:
        batch, height, width, _ = shape_NHW3
        self.full_N3HW = np.empty((batch, 3, height, width), np.uint8)
        self.half_N3hw = np.empty((batch, 3, (height + 1) // 2, (width + 1) // 2), np.uint8)

    def fill(self, rgb_NHW3: NDArray[np.uint8]) -> None:
        """Takes inputs apart."""
        for rgb_HW3, planes_3HW in zip(rgb_NHW3, self.full_N3HW, strict=True):
            cv2.split(rgb_HW3, list(planes_3HW))
        np.copyto(self.half_N3hw, self.full_N3HW[:, :, ::2, ::2])
