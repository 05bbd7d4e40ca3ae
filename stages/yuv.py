"""8-bit YUV with chroma at half size to RGB, several times faster than swscale's accurate path.

Chroma is brought to full size with the weights 3/4 and 1/4, its samples lying between those of
luma; results are within half a level of the formula.
"""

import numpy as np
from numpy.typing import NDArray

from icstream.model.jit import compiled

_MIDDLE = 128
_FULL = 255
_LUMA_SPAN, _CHROMA_SPAN, _BLACK = 219, 224, 16
"""Of limited range: ITU-R BT.601 section 2.5.3."""


def coefficients(*, red: float, blue: float, full_range: bool) -> NDArray[np.float32]:
    """Gives (6,): luma; red of V; green of U and V; blue of U; the level of black.

    Args:
        red: weight of red in luma.
        blue: weight of blue in luma.
        full_range: luma and chroma use all of 0 to 255.
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
    """Writes red, green and blue; chroma has half the rows and columns, rounded up.

    Planes may be larger than luma; what lies beyond is left as it is.
    """
    height, width = y_HW.shape
    rows, columns = u_hw.shape
    luma, red_v, green_u, green_v, blue_u, black = coefficients_6
    near, far, half = np.float32(0.75), np.float32(0.25), np.float32(0.5)
    lowest, highest, middle = np.float32(0), np.float32(_FULL), np.float32(_MIDDLE)
    u_w, v_w = np.empty(columns, np.float32), np.empty(columns, np.float32)
    u_W, v_W = np.empty(2 * columns, np.float32), np.empty(2 * columns, np.float32)
    for i in range(height):
        this = i // 2
        other = min(max(this + 1 if i % 2 else this - 1, 0), rows - 1)
        for j in range(columns):
            u_w[j] = near * np.float32(u_hw[this, j]) + far * np.float32(u_hw[other, j]) - middle
            v_w[j] = near * np.float32(v_hw[this, j]) + far * np.float32(v_hw[other, j]) - middle
        for narrow, wide in ((u_w, u_W), (v_w, v_W)):
            wide[0], wide[2 * columns - 1] = narrow[0], narrow[columns - 1]
            for j in range(1, columns):
                wide[2 * j - 1] = near * narrow[j - 1] + far * narrow[j]
                wide[2 * j] = near * narrow[j] + far * narrow[j - 1]
        for j in range(width):
            grey = luma * (np.float32(y_HW[i, j]) - black) + half
            red = grey + red_v * v_W[j]
            green = grey + green_u * u_W[j] + green_v * v_W[j]
            blue = grey + blue_u * u_W[j]
            planes_3HW[0, i, j] = np.uint8(np.int32(min(max(red, lowest), highest)))
            planes_3HW[1, i, j] = np.uint8(np.int32(min(max(green, lowest), highest)))
            planes_3HW[2, i, j] = np.uint8(np.int32(min(max(blue, lowest), highest)))
