"""From the network's small score map to the class of every pixel of the picture.

The definition is `class_ids_dense`: each class's scores are interpolated bilinearly in float32,
`top = a*(1-x) + b*x`, `bottom = c*(1-x) + d*x`, `top*(1-y) + bottom*y`, with a, b the nodes above
and c, d those below the pixel; the largest wins, ties go to the lowest id.

`class_ids` gives the same ids without looking at most pixels. Interpolation is a convex
combination, so a class that is ahead at all four nodes of a cell is ahead everywhere in it; it is
ahead of the *computed* values too when its lead exceeds their rounding error. Each of the two
levels of interpolation rounds three times, so a computed value is off by at most 6 units of
2^-24 times the largest score, and a difference of two by twice that; `_SAFE_LEAD` is above it.
"""

import numpy as np
from numpy.typing import NDArray

from icstream.model.geometry import Axis
from icstream.model.jit import compiled

_SAFE_LEAD = np.float32(16 * 2.0**-24)


def class_ids_dense(
    values_Khw: NDArray[np.float32], rows: Axis, columns: Axis
) -> NDArray[np.uint8]:
    """The reference: gives (H, W) ids by interpolating every class at every pixel."""
    y, x = rows.nodes[:, None], columns.nodes[None, :]
    fy, fx = rows.fractions[:, None], columns.fractions[None, :]
    gy, gx = np.float32(1) - fy, np.float32(1) - fx
    best = np.full((len(rows.nodes), len(columns.nodes)), -np.inf, np.float32)
    ids = np.zeros(best.shape, np.uint8)
    for k, values_hw in enumerate(values_Khw):
        top = values_hw[y, x] * gx + values_hw[y, x + 1] * fx
        bottom = values_hw[y + 1, x] * gx + values_hw[y + 1, x + 1] * fx
        value = top * gy + bottom * fy
        ahead = value > best
        ids[ahead] = k
        best[ahead] = value[ahead]
    return ids


def class_ids(values_Khw: NDArray[np.float32], rows: Axis, columns: Axis) -> NDArray[np.uint8]:
    """Gives (H, W) ids, equal to `class_ids_dense` on every pixel.

    Cells with one clear winner are filled; in the others only classes that can win are computed.
    """
    values_hwK = np.ascontiguousarray(np.moveaxis(values_Khw, 0, -1), np.float32)
    num_rows, num_columns, _ = values_hwK.shape
    ids = np.empty((len(rows.nodes), len(columns.nodes)), np.uint8)
    lead = _SAFE_LEAD * np.abs(values_hwK).max()
    _fill(
        values_hwK,
        np.searchsorted(rows.nodes, np.arange(num_rows)),
        np.searchsorted(columns.nodes, np.arange(num_columns)),
        rows.fractions,
        columns.fractions,
        np.float32(lead),
        ids,
    )
    return ids


@compiled
def _fill(
    values: NDArray[np.float32],
    row_starts: NDArray[np.int64],
    column_starts: NDArray[np.int64],
    fy: NDArray[np.float32],
    fx: NDArray[np.float32],
    lead: np.float32,
    ids: NDArray[np.uint8],
) -> None:
    """Writes the ids cell by cell; cell (i, j) holds pixel rows row_starts[i:i+2], and so on."""
    num_rows, num_columns, num_classes = values.shape
    one = np.float32(1)
    candidates = np.empty(num_classes, np.int64)
    for i in range(num_rows - 1):
        for j in range(num_columns - 1):
            a, b = values[i, j], values[i, j + 1]
            c, d = values[i + 1, j], values[i + 1, j + 1]
            # The class with the best worst corner is the one most likely to rule the cell.
            ruler, ruler_worst = 0, min(a[0], b[0], c[0], d[0])
            for k in range(1, num_classes):
                worst = min(a[k], b[k], c[k], d[k])
                if worst > ruler_worst:
                    ruler, ruler_worst = k, worst
            count = 0
            for k in range(num_classes):
                beaten = (
                    a[ruler] - a[k] > lead
                    and b[ruler] - b[k] > lead
                    and c[ruler] - c[k] > lead
                    and d[ruler] - d[k] > lead
                )
                if not beaten:
                    candidates[count] = k
                    count += 1
            for y in range(row_starts[i], row_starts[i + 1]):
                for x in range(column_starts[j], column_starts[j + 1]):
                    if count == 1:
                        ids[y, x] = ruler
                        continue
                    gx, gy = one - fx[x], one - fy[y]
                    best, winner = np.float32(-np.inf), 0
                    for n in range(count):
                        k = candidates[n]
                        top = a[k] * gx + b[k] * fx[x]
                        bottom = c[k] * gx + d[k] * fx[x]
                        value = top * gy + bottom * fy[y]
                        if value > best:
                            best, winner = value, k
                    ids[y, x] = winner
