"""Pyramid pooling: averages over 6x6, 3x3, 2x2 and 1x1 windows, resized back and added.

Averaging and resizing are linear, so each is a small matrix per axis. That holds any window, is
the same in training and evaluation, has a deterministic gradient, and exports as plain products.
"""

from functools import lru_cache

import torch
from torch import Tensor

BINS = (6, 3, 2, 1)

_AUTHORS_MAP = (33, 65)
_AUTHORS_WINDOWS = {6: (3, 5), 3: (3, 5), 2: (1, 1), 1: (0, 0)}
"""At 33x65 a window is longer than its step by this much (height, width); from the prototxt."""


def pooling_windows(size: tuple[int, int], bins: int, axis: int) -> list[tuple[int, int]]:
    """Gives the half-open windows [start, stop) along one axis of a map of `size`.

    The authors' windows for the map of a 1025x2049 input, adaptive ones elsewhere; where `bins`
    is larger than the side, each row (or column) is a window of its own.
    """
    side = size[axis]
    if size == _AUTHORS_MAP:
        overlap = _AUTHORS_WINDOWS[bins][axis]
        step = (side - overlap) // bins
        return [(i * step, i * step + step + overlap) for i in range(bins)]
    bins = min(bins, side)
    return [(i * side // bins, -(-(i + 1) * side // bins)) for i in range(bins)]


def pyramid_pooling(x_NCHW: Tensor) -> Tensor:
    """Gives the map plus its four poolings, each bilinearly resized back (align corners)."""
    total_NCHW = x_NCHW
    for bins in BINS:
        average_rows, average_columns, zoom_rows, zoom_columns = (
            matrix.to(x_NCHW) for matrix in _matrices(tuple(x_NCHW.shape[-2:]), bins)
        )
        pooled_NCHW = average_rows @ (x_NCHW @ average_columns.T)
        total_NCHW = total_NCHW + zoom_rows @ pooled_NCHW @ zoom_columns.T
    return total_NCHW


@lru_cache(maxsize=64)
def _matrices(size: tuple[int, int], bins: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, columns = (pooling_windows(size, bins, axis) for axis in (0, 1))
    return (
        _averaging(rows, size[0]),
        _averaging(columns, size[1]),
        _zooming(len(rows), size[0]),
        _zooming(len(columns), size[1]),
    )


def _averaging(windows: list[tuple[int, int]], side: int) -> Tensor:
    """Gives (bins, side); row i averages window i."""
    matrix = torch.zeros(len(windows), side, dtype=torch.float64, device="cpu")
    for i, (start, stop) in enumerate(windows):
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix.float()


def _zooming(bins: int, side: int) -> Tensor:
    """Gives (side, bins); row y holds the bilinear weights of output row y."""
    matrix = torch.zeros(side, bins, dtype=torch.float64, device="cpu")
    for y in range(side):
        position = y * (bins - 1) / (side - 1) if side > 1 else 0.0
        low = min(int(position), max(bins - 2, 0))
        matrix[y, low] += 1 - (position - low)
        if bins > 1:
            matrix[y, low + 1] += position - low
    return matrix.float()
