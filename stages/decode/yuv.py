"""Conversion of 8-bit YUV 4:2:0 to RGB, several times faster than swscale's accurate path.

Chroma is upsampled with the weights 3/4 and 1/4, as its samples lie between those of luma; results
are within half a level of the formula.
"""

import numpy as np
from numpy.typing import NDArray

from icstream.model.jit import compiled

_MIDDLE = 128
_FULL = 255
_LUMA_SPAN, _CHROMA_SPAN, _BLACK = 219, 224, 16
"""The spans and the black level of limited range (ITU-R BT.601 section 2.5.3)."""


def coefficients(*, red: float, blue: float, full_range: bool) -> NDArray[np.float32]:
    """Return the (6,) factors: luma; red of V; green of U and V; blue of U; the black level.

    Args:
        red: The weight of red in luma.
        blue: The weight of blue in luma.
        full_range: Whether luma and chroma use all of 0 to 255.
    """
    green = 1 - red - blue
    luma = 1.0 if full_range else _FULL / _LUMA_SPAN
    chroma = 1.0 if full_range else _FULL / _CHROMA_SPAN
    red_v, blue_u = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    values = (luma, red_v, -blue / green * blue_u, -red / green * red_v, blue_u)
    return np.array([*values, 0 if full_range else _BLACK], np.float32)


@compiled
def yuv420_to_rgb(
    y_HW: NDArray[np.uint8],
    u_hw: NDArray[np.uint8],
    v_hw: NDArray[np.uint8],
    coefficients_6: NDArray[np.float32],
    planes_3HW: NDArray[np.uint8],
) -> None:
    """Write the red, green and blue planes; chroma has half the rows and columns, rounded up.

    Planes may be larger than luma; pixels outside are left unchanged.
    """
    height, width = y_HW.shape
    rows, columns = u_hw.shape
    luma, red_v, green_u, green_v, blue_u, black = coefficients_6
    # Chroma in sixteenths is an integer, which is exact in half the bits.
    sixteenth, half = np.float32(1 / 16), np.float32(0.5)
    red_v, blue_u = red_v * sixteenth, blue_u * sixteenth
    green_u, green_v = green_u * sixteenth, green_v * sixteenth
    three, middle = np.int16(3), np.int16(16 * _MIDDLE)
    lowest, highest = np.int32(0), np.int32(_FULL)
    # The rows of chroma around the current one, at full width.
    u_3W = np.empty((3, 2 * columns), np.int16)
    v_3W = np.empty((3, 2 * columns), np.int16)
    num_wide = 0
    for i in range(height):
        this = i // 2
        other = min(max(this + 1 if i % 2 else this - 1, 0), rows - 1)
        while num_wide <= max(this, other):
            _widen(u_hw[num_wide], u_3W[num_wide % 3])
            _widen(v_hw[num_wide], v_3W[num_wide % 3])
            num_wide += 1
        u_W, other_u_W = u_3W[this % 3], u_3W[other % 3]
        v_W, other_v_W = v_3W[this % 3], v_3W[other % 3]
        for j in range(width):
            gray = luma * (np.float32(y_HW[i, j]) - black) + half
            u = np.float32(np.int16(three * u_W[j] + other_u_W[j] - middle))
            v = np.float32(np.int16(three * v_W[j] + other_v_W[j] - middle))
            red = np.int32(gray + red_v * v)
            green = np.int32(gray + green_u * u + green_v * v)
            blue = np.int32(gray + blue_u * u)
            planes_3HW[0, i, j] = np.uint8(min(max(red, lowest), highest))
            planes_3HW[1, i, j] = np.uint8(min(max(green, lowest), highest))
            planes_3HW[2, i, j] = np.uint8(min(max(blue, lowest), highest))


@compiled
def _widen(row_w: NDArray[np.uint8], wide_W: NDArray[np.int16]) -> None:
    """Write a row of chroma, multiplied by four, at twice its width."""
    three, four, last = np.int16(3), np.int16(4), len(row_w) - 1
    wide_W[0], wide_W[2 * last + 1] = four * np.int16(row_w[0]), four * np.int16(row_w[last])
    for j in range(1, len(row_w)):
        left, right = np.int16(row_w[j - 1]), np.int16(row_w[j])
        wide_W[2 * j - 1] = np.int16(three * left + right)
        wide_W[2 * j] = np.int16(three * right + left)
