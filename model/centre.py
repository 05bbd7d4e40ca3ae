"""The mean taken off an input, in bfloat16 and pixel by pixel: what convolutions on AMX read.

OpenVINO would do the same in three passes over memory, which is a twentieth of the network's time.
"""

import numpy as np
from numpy.typing import NDArray

from icstream.model.jit import compiled


@compiled
def centre(
    planes_3HW: NDArray[np.uint8],
    mean_3: NDArray[np.float32],
    full_HW3: NDArray[np.uint16],
    half_hw3: NDArray[np.uint16],
) -> None:
    """Writes the input less its mean, and every second row and column of that.

    Args:
        planes_3HW: red, green and blue, each by itself.
        mean_3: of red, green and blue.
        full_HW3: becomes (H, 3 * W) bits of bfloat16, rounded to nearest, ties to even.
        half_hw3: becomes (h, 3 * w) of the same, with sides (H + 1) // 2 and (W + 1) // 2.
    """
    _, height, width = planes_3HW.shape
    red_W = np.empty(width, np.float32)
    green_W = np.empty(width, np.float32)
    blue_W = np.empty(width, np.float32)
    red, green, blue = red_W.view(np.uint32), green_W.view(np.uint32), blue_W.view(np.uint32)
    for i in range(height):
        for j in range(width):
            red_W[j] = np.float32(planes_3HW[0, i, j]) - mean_3[0]
            green_W[j] = np.float32(planes_3HW[1, i, j]) - mean_3[1]
            blue_W[j] = np.float32(planes_3HW[2, i, j]) - mean_3[2]
        row = full_HW3[i]
        for j in range(width):
            row[3 * j] = _rounded(red[j])
            row[3 * j + 1] = _rounded(green[j])
            row[3 * j + 2] = _rounded(blue[j])
        if i % 2 == 0:
            half_row = half_hw3[i // 2]
            for j in range((width + 1) // 2):
                half_row[3 * j] = row[6 * j]
                half_row[3 * j + 1] = row[6 * j + 1]
                half_row[3 * j + 2] = row[6 * j + 2]


@compiled
def _rounded(bits: np.uint32) -> np.uint16:
    """Gives the upper half of a float32's bits, rounded to nearest, ties to even."""
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))
