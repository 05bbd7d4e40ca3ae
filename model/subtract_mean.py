"""Subtraction of the mean from an input, for the first convolutions.

OpenVINO would need three passes over memory, a twentieth of the network's time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from icstream.model.jit import compiled


@compiled
def subtract_mean_fp32(
    planes_3HW: NDArray[np.uint8],
    mean_3: NDArray[np.float32],
    full_HW3: NDArray[np.float32],
    half_hw3: NDArray[np.float32],
) -> None:
    """Write the input minus the mean, and every second row and column of the result.

    Args:
        planes_3HW: The red, green and blue planes.
        mean_3: The mean of red, green and blue.
        full_HW3: The output for the result, (H, 3 * W).
        half_hw3: The output for its half, (h, 3 * w), with h = (H + 1) // 2 and w = (W + 1) // 2.
    """
    _, height, width = planes_3HW.shape
    for i in range(height):
        row = full_HW3[i]
        for j in range(width):
            row[3 * j] = np.float32(planes_3HW[0, i, j]) - mean_3[0]
            row[3 * j + 1] = np.float32(planes_3HW[1, i, j]) - mean_3[1]
            row[3 * j + 2] = np.float32(planes_3HW[2, i, j]) - mean_3[2]
        if i % 2 == 0:
            _halve(row, half_hw3[i // 2])


@compiled
def subtract_mean_bf16(
    planes_3HW: NDArray[np.uint8],
    mean_3: NDArray[np.float32],
    full_HW3: NDArray[np.uint16],
    half_hw3: NDArray[np.uint16],
) -> None:
    """Do the same in bfloat16, rounded to nearest, ties to even; the outputs hold its bits."""
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
            _halve(row, half_hw3[i // 2])


@compiled
def _rounded(bits: np.uint32) -> np.uint16:
    """Return the upper half of a float32's bits, rounded to nearest, ties to even."""
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@compiled
def _halve(row_W3: NDArray[Any], half_w3: NDArray[Any]) -> None:
    """Copy every second pixel of a row."""
    for j in range(len(half_w3) // 3):
        half_w3[3 * j] = row_W3[6 * j]
        half_w3[3 * j + 1] = row_W3[6 * j + 1]
        half_w3[3 * j + 2] = row_W3[6 * j + 2]
