"""Encoding of masks as COCO's compressed run lengths, for all classes in one pass.

A binary mask is read column by column; its runs of 0 and 1 in turn, beginning with 0, are the
counts. Each count from the fourth on is stored as its difference from the count two places earlier,
in groups of five bits, lowest first, with bit 5 set where more follow, plus 48 (maskApi.c of
cocoapi).
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model.jit import compiled

_MAX_BYTES = 7
"""The largest number of groups for a count below 2^32, or for a difference of two counts."""


def rle_counts(ids_HW: NDArray[np.uint8]) -> dict[int, str]:
    """Return the `counts` of the binary mask of each id that occurs, in ascending order."""
    columns = np.asarray(cv2.transpose(ids_HW)).ravel()
    starts = np.concatenate(([0], np.flatnonzero(columns[1:] != columns[:-1]) + 1))
    run_ids = columns[starts]
    runs_of = np.bincount(run_ids, minlength=256)
    capacity = np.where(runs_of > 0, (2 * runs_of + 1) * _MAX_BYTES, 0)
    offsets = np.concatenate(([0], np.cumsum(capacity)))
    buffer = np.empty(offsets[-1], np.uint8)
    ends = _encode(run_ids, starts, columns.size, offsets, buffer)
    return {
        int(k): buffer[offsets[k] : ends[k]].tobytes().decode("ascii")
        for k in np.flatnonzero(runs_of)
    }


def class_masks(ids_HW: NDArray[np.uint8], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the id, name and `counts` of each class that occurs, in ascending order."""
    return [
        {"id": k, "name": names[k], "counts": counts}
        for k, counts in rle_counts(ids_HW).items()
        if k < len(names)
    ]


@compiled
def _encode(
    run_ids: NDArray[np.uint8],
    starts: NDArray[np.int64],
    total: int,
    offsets: NDArray[np.int64],
    buffer: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """Write each id's counts from its offset on, and return the ends."""
    position = offsets[:256].copy()
    covered = np.zeros(256, np.int64)
    number = np.zeros(256, np.int64)
    history = np.zeros((256, 2), np.int64)
    for i in range(len(run_ids) + 256):
        if i < len(run_ids):
            k = np.int64(run_ids[i])
            end = starts[i + 1] if i + 1 < len(starts) else total
            lengths = (starts[i] - covered[k], end - starts[i])
            covered[k] = end
            pieces = 2
        else:  # the final run of zeros of each id
            k = np.int64(i - len(run_ids))
            if number[k] == 0 or covered[k] == total:
                continue
            lengths = (total - covered[k], 0)
            pieces = 1
        for piece in range(pieces):
            value = lengths[piece]
            x = value - history[k, 0] if number[k] > 2 else value
            history[k, 0], history[k, 1] = history[k, 1], value
            number[k] += 1
            more = True
            while more:
                group = x & 31
                x >>= 5
                more = x != -1 if group & 16 else x != 0
                buffer[position[k]] = (group | 32 if more else group) + 48
                position[k] += 1
    return position
