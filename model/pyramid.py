"""Pyramid pooling: averages over 6x6, 3x3, 2x2 and 1x1 windows, resized back and added.

Averaging and resizing are linear, so each is a small matrix per axis. This form allows any window,
is the same in training and evaluation, has a deterministic gradient, and exports as plain products.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = (6, 3, 2, 1)

_AUTHORS_MAP = (33, 65)
_AUTHORS_WINDOWS = {6: (3, 5), 3: (3, 5), 2: (1, 1), 1: (0, 0)}
"""The (height, width) by which windows exceed their step at 33x65; from the prototxt."""


def pooling_windows(size: tuple[int, int], bins: int, axis: int) -> list[tuple[int, int]]:
    """Return the half-open windows [start, stop) along one axis of a map of `size`.

    These are the authors' windows for the map of a 1025x2049 input, and adaptive ones elsewhere;
    where `bins` exceeds the side, each row (or column) is a window of its own.
    """
    side = size[axis]
    if size == _AUTHORS_MAP:
        overlap = _AUTHORS_WINDOWS[bins][axis]
        step = (side - overlap) // bins
        return [(i * step, i * step + step + overlap) for i in range(bins)]
    bins = min(bins, side)
    return [(i * side // bins, -(-(i + 1) * side // bins)) for i in range(bins)]


def pyramid_pooling(x_NCHW: Tensor) -> Tensor:
    """Return the sum of the map and its four poolings, each bilinearly resized (align corners).

    The windows of all bins lie side by side in one matrix per axis; of the crossed windows that
    come out, `same` keeps those whose rows and columns belong to the same bins.
    """
    average_rows, average_columns, same, zoom_rows, zoom_columns = (
        torch.from_numpy(matrix).to(x_NCHW)
        for matrix in _matrices(int(x_NCHW.shape[-2]), int(x_NCHW.shape[-1]))
    )
    pooled_NCPP = average_rows @ (x_NCHW @ average_columns.T) * same
    return x_NCHW + zoom_rows @ pooled_NCPP @ zoom_columns.T


# Numpy rather than torch, so that the values are constants when the network is traced.
@lru_cache(maxsize=64)
def _matrices(height: int, width: int) -> tuple[NDArray[np.float32], ...]:
    rows, columns = (
        [pooling_windows((height, width), bins, axis) for bins in BINS] for axis in (0, 1)
    )
    row_bins, column_bins = (
        np.repeat(BINS, [len(windows) for windows in axis]) for axis in (rows, columns)
    )
    return (
        np.concatenate([_averaging(windows, height) for windows in rows]),
        np.concatenate([_averaging(windows, width) for windows in columns]),
        (row_bins[:, None] == column_bins[None, :]).astype(np.float32),
        np.concatenate([_zooming(len(windows), height) for windows in rows], axis=1),
        np.concatenate([_zooming(len(windows), width) for windows in columns], axis=1),
    )


def _averaging(windows: list[tuple[int, int]], side: int) -> NDArray[np.float32]:
    """Return a (bins, side) matrix whose row i averages window i."""
    matrix = np.zeros((len(windows), side))
    for i, (start, stop) in enumerate(windows):
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix.astype(np.float32)


def _zooming(bins: int, side: int) -> NDArray[np.float32]:
    """Return a (side, bins) matrix whose row y holds the bilinear weights of output row y."""
    matrix = np.zeros((side, bins))
    for y in range(side):
        position = y * (bins - 1) / (side - 1) if side > 1 else 0.0
        low = min(int(position), max(bins - 2, 0))
        matrix[y, low] += 1 - (position - low)
        if bins > 1:
            matrix[y, low + 1] += position - low
    return matrix.astype(np.float32)
