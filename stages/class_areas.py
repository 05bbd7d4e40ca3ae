"""The area of each class in a mask."""

import cv2
import numpy as np
from numpy.typing import NDArray


def count_class_pixels(class_ids: NDArray[np.uint8], num_classes: int = 256) -> NDArray[np.int64]:
    """Return the number of pixels of an (H, W) mask for each of the first `num_classes` ids."""
    counts = cv2.calcHist([class_ids], [0], None, [256], [0, 256])
    return counts.ravel()[:num_classes].astype(np.int64)
