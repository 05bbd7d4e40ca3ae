"""Upsampling of the network's logits to the class of every pixel of the image.

The definition is `class_ids_dense`: each class's logits are interpolated bilinearly in float32,
`top = a*(1-x) + b*x`, `bottom = c*(1-x) + d*x`, `top*(1-y) + bottom*y`, with a, b the nodes above
and c, d those below the pixel; the largest wins, ties go to the lowest id.

`class_ids` returns the same ids without computing most pixels. Interpolation is a convex
combination, so a class that leads at all four nodes of a cell leads everywhere in it; it also leads
among the *computed* values if its lead exceeds their rounding error. Each of the two levels of
interpolation rounds three times, so a computed value is off by at most 6 units of 2^-24 times the
largest score, and a difference of two by twice that; `_SAFE_LEAD` is above it.
"""

import numpy as np
from numpy.typing import NDArray

from icstream.model.geometry import Axis
from icstream.model.jit import compiled

_SAFE_LEAD = np.float32(16 * 2.0**-24)
"""The lead, as a share of the largest logit, that exceeds all rounding errors."""


def class_ids_dense(
    values_Khw: NDArray[np.float32], rows: Axis, columns: Axis
) -> NDArray[np.uint8]:
    """Return the (H, W) ids by interpolating every class at every pixel: the reference."""
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
    """Return the (H, W) ids, equal to those of `class_ids_dense` on every pixel.

    Cells with one clear winner are filled; in the others only classes that can win are
    interpolated.
    """
    values_Khw = np.ascontiguousarray(values_Khw, np.float32)
    _, height, width = values_Khw.shape
    lead = _SAFE_LEAD * max(values_Khw.max(), -values_Khw.min())
    winners_hw, leads_hw = _nodes(values_Khw)
    ids = np.empty((len(rows.nodes), len(columns.nodes)), np.uint8)
    _fill(
        values_Khw,
        winners_hw,
        leads_hw > np.float32(lead),
        np.searchsorted(rows.nodes, np.arange(height)),
        np.searchsorted(columns.nodes, np.arange(width)),
        rows.fractions,
        columns.fractions,
        np.float32(lead),
        ids,
    )
    return ids


@compiled
def _nodes(values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the best class at each node and its lead over the second best."""
    num_classes, height, width = values.shape
    winners = np.zeros((height, width), np.uint8)
    leads = np.empty((height, width), np.float32)
    best, second = np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(height):
        best[:] = values[0, i]
        second[:] = -np.inf
        for k in range(1, num_classes):
            for j in range(width):
                value = values[k, i, j]
                if value > best[j]:
                    second[j], best[j] = best[j], value
                    winners[i, j] = k
                elif value > second[j]:
                    second[j] = value
        for j in range(width):
            leads[i, j] = best[j] - second[j]
    return winners, leads


@compiled
def _fill(
    values: NDArray[np.float32],
    winners: NDArray[np.uint8],
    clear: NDArray[np.bool_],
    row_starts: NDArray[np.int64],
    column_starts: NDArray[np.int64],
    fy: NDArray[np.float32],
    fx: NDArray[np.float32],
    lead: np.float32,
    ids: NDArray[np.uint8],
) -> None:
    """Write the ids cell by cell; cell (i, j) holds pixel rows row_starts[i:i+2], and so on."""
    num_classes, num_rows, num_columns = values.shape
    candidates = np.empty(num_classes, np.uint8)
    corners = np.empty((4, num_classes), np.float32)
    widest = np.diff(column_starts).max()
    tops = np.empty((num_classes, widest), np.float32)
    bottoms = np.empty((num_classes, widest), np.float32)
    best, winner = np.empty(widest, np.float32), np.empty(widest, np.uint8)
    for i in range(num_rows - 1):
        y0, y1 = row_starts[i], row_starts[i + 1]
        for j in range(num_columns - 1):
            x0, x1 = column_starts[j], column_starts[j + 1]
            first = winners[i, j]
            if (
                first == winners[i, j + 1] == winners[i + 1, j] == winners[i + 1, j + 1]
                and clear[i, j]
                and clear[i, j + 1]
                and clear[i + 1, j]
                and clear[i + 1, j + 1]
            ):
                ids[y0:y1, x0:x1] = first
                continue
            count = _candidates(values, i, j, lead, candidates, corners)
            for n in range(count):
                a, b = corners[0, n], corners[1, n]
                c, d = corners[2, n], corners[3, n]
                for x in range(x1 - x0):
                    f = fx[x0 + x]
                    g = np.float32(1) - f
                    tops[n, x] = a * g + b * f
                    bottoms[n, x] = c * g + d * f
            for y in range(y0, y1):
                f = fy[y]
                g = np.float32(1) - f
                for x in range(x1 - x0):
                    best[x] = tops[0, x] * g + bottoms[0, x] * f
                    winner[x] = candidates[0]
                for n in range(1, count):
                    k = candidates[n]
                    for x in range(x1 - x0):
                        value = tops[n, x] * g + bottoms[n, x] * f
                        if value > best[x]:
                            best[x] = value
                            winner[x] = k
                for x in range(x1 - x0):
                    ids[y, x0 + x] = winner[x]


@compiled
def _candidates(
    values: NDArray[np.float32],
    i: int,
    j: int,
    lead: np.float32,
    candidates: NDArray[np.uint8],
    corners: NDArray[np.float32],
) -> int:
    """Write the classes that may win somewhere in a cell, by rising id, and return their number."""
    ruler, ruler_worst = 0, np.float32(-np.inf)
    for k in range(len(values)):
        # The class with the largest minimum over the corners most likely wins the cell.
        worst = min(values[k, i, j], values[k, i, j + 1])
        worst = min(worst, values[k, i + 1, j], values[k, i + 1, j + 1])
        if worst > ruler_worst:
            ruler, ruler_worst = k, worst
    count = 0
    for k in range(len(values)):
        a, b = values[k, i, j], values[k, i, j + 1]
        c, d = values[k, i + 1, j], values[k, i + 1, j + 1]
        beaten = (
            values[ruler, i, j] - a > lead
            and values[ruler, i, j + 1] - b > lead
            and values[ruler, i + 1, j] - c > lead
            and values[ruler, i + 1, j + 1] - d > lead
        )
        if not beaten:
            candidates[count] = k
            corners[0, count], corners[1, count] = a, b
            corners[2, count], corners[3, count] = c, d
            count += 1
    return count
