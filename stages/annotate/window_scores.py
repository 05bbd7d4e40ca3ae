"""Scores of crops: made probabilities, brought to size, added up over windows, turned into ids."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError

_ROWS = 64
_SUM_TOLERANCE = 1e-3
"""Largest distance from one of the sum of scores that are probabilities."""


class Window(NamedTuple):
    """Part of an image, in pixels; the far sides are not in it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left


def probabilities(
    scores: NDArray[Any], size: tuple[int, int], num_channels: int
) -> NDArray[np.floating[Any]]:
    """Return (K, H, W) probabilities of a crop of `size`.

    Scores that do not sum to one at every pixel are taken for logits, and go through softmax. A
    map of another size is brought to the crop's by bicubic interpolation, which is what the plugin
    did with its probabilities.

    Args:
        scores: (K, h, w) as the model gave it; it is not written to.
        size: (H, W) of the crop.
        num_channels: K that is expected.

    Raises:
        ConfigError: the array is not (K, h, w) with that K.
    """
    if scores.ndim != 3 or len(scores) != num_channels or not scores[0].size:
        raise ConfigError(
            f"predict: got an array {scores.shape}, needed is ({num_channels}, h, w):"
            " the background and each class"
        )
    kind = scores.dtype if scores.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    scores_Khw = np.asarray(scores, kind)
    if (np.abs(scores_Khw.sum(0) - 1) > _SUM_TOLERANCE).any():
        scores_Khw = softmax(scores_Khw)
    if scores_Khw.shape[1:] == size:
        return scores_Khw
    height, width = size
    resized = np.empty((num_channels, height, width), kind)
    for scores_hw, resized_HW in zip(scores_Khw, resized, strict=True):
        cv2.resize(scores_hw, (width, height), resized_HW, interpolation=cv2.INTER_CUBIC)
    return resized


def softmax(logits_Khw: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return probabilities over the first axis."""
    scores_Khw = logits_Khw.copy(order="K")
    softmax_in_place(scores_Khw)
    return scores_Khw


def softmax_in_place(logits_Khw: NDArray[np.floating[Any]]) -> None:
    """Make logits probabilities over the first axis."""
    logits_Khw -= logits_Khw.max(0)
    np.exp(logits_Khw, out=logits_Khw)
    logits_Khw /= logits_Khw.sum(0)


def winners(
    scores_KHW: NDArray[np.floating[Any]], *, threshold: float, order: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """Return (H, W) channels with the highest score.

    Args:
        scores_KHW: channel 0 is the background.
        threshold: pixels whose winner has less become background.
        order: the channels that may win; ties go to the first. None: all, in their order.
    """
    channels = np.arange(len(scores_KHW)) if order is None else np.array(order)
    if order is not None:
        scores_KHW = scores_KHW[channels]
    ids_HW = np.empty(scores_KHW.shape[1:], np.uint8)
    for top in range(0, len(ids_HW), _ROWS):  # NumPy copies what it looks through
        rows = slice(top, top + _ROWS)
        ids_HW[rows] = channels.astype(np.uint8)[scores_KHW[:, rows].argmax(0)]
    if threshold > 0:
        ids_HW[scores_KHW.max(0) < threshold] = 0
    return ids_HW


class Band(NamedTuple):
    """Rows of an image that no later window reaches."""

    top: int
    scores_KbW: NDArray[np.floating[Any]]
    """(K, b, W) sums over the windows that cover a pixel; valid until the next band."""
    counts_bW: NDArray[np.int64]
    """(b, W) number of windows that cover a pixel."""


def sum_windows(
    size: tuple[int, int], windows: Iterable[Window], scores: Iterable[NDArray[np.floating[Any]]]
) -> Iterator[Band]:
    """Add up overlapping windows, and return the sums from top to bottom.

    No more rows are held than one window has, however high the image.

    Args:
        size: (H, W) of the image.
        windows: of one size, row by row from the top; together they cover the image.
        scores: (K, h, w) of each of them, in the same order.
    """
    sums: NDArray[np.floating[Any]] | None = None
    counts: NDArray[np.int64] | None = None
    top = 0
    for window, scores_Khw in zip(windows, scores, strict=True):
        if sums is None or counts is None:
            sums = np.zeros((len(scores_Khw), window.size[0], size[1]), scores_Khw.dtype)
            counts = np.zeros(sums.shape[1:], np.int64)
        if window.top > top:
            done = window.top - top
            yield Band(top, sums[:, :done], counts[:done])
            _scroll(sums, done, axis=1)
            _scroll(counts, done, axis=0)
            top = window.top
        sums[:, :, window.left : window.right] += scores_Khw
        counts[:, window.left : window.right] += 1
    if sums is not None and counts is not None:
        yield Band(top, sums, counts)


def _scroll(rows: NDArray[Any], done: int, *, axis: int) -> None:
    """Move what lies behind the first `done` rows to the front, and clear the rest."""
    rows = np.moveaxis(rows, axis, 0)
    left = len(rows) - done
    for i in range(left):  # row by row: source and target overlap
        rows[i] = rows[i + done]
    rows[left:] = 0
