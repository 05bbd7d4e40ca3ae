"""Operations on scores of crops: softmax, resizing, sums over windows, and class ids."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError

_ROWS = 64
_SUM_TOLERANCE = 1e-3
"""The largest deviation from 1 of the sum of scores that count as probabilities."""


class Window(NamedTuple):
    """A part of an image, in pixels, excluding the right and bottom ends."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """The (height, width)."""
        return self.bottom - self.top, self.right - self.left


def probabilities(
    scores: NDArray[Any], size: tuple[int, int], num_channels: int
) -> NDArray[np.floating[Any]]:
    """Return the (K, H, W) probabilities of a crop of `size`.

    Scores that do not sum to 1 at every pixel are treated as logits, to which softmax is applied.
    Probabilities of another size are resized to the crop's by bicubic interpolation, as in the
    plugin.

    Args:
        scores: The (K, h, w) output of the model, which is not modified.
        size: The (H, W) of the crop.
        num_channels: The expected K.

    Raises:
        ConfigError: The array is not (K, h, w) with the expected K.
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
    """Replace logits by probabilities over the first axis."""
    logits_Khw -= logits_Khw.max(0)
    np.exp(logits_Khw, out=logits_Khw)
    logits_Khw /= logits_Khw.sum(0)


def winners(
    scores_KHW: NDArray[np.floating[Any]], *, threshold: float, order: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """Return the (H, W) channels with the highest score.

    Args:
        scores_KHW: The scores, with channel 0 for the background.
        threshold: The highest score below which pixels become background.
        order: The channels that may win, with ties going to the first; None: all, in order.
    """
    channels = np.arange(len(scores_KHW)) if order is None else np.array(order)
    if order is not None:
        scores_KHW = scores_KHW[channels]
    ids_HW = np.empty(scores_KHW.shape[1:], np.uint8)
    for top in range(0, len(ids_HW), _ROWS):  # NumPy would copy the array
        rows = slice(top, top + _ROWS)
        ids_HW[rows] = channels.astype(np.uint8)[scores_KHW[:, rows].argmax(0)]
    if threshold > 0:
        ids_HW[scores_KHW.max(0) < threshold] = 0
    return ids_HW


class Band(NamedTuple):
    """The rows of an image that no later window reaches."""

    top: int
    scores_KbW: NDArray[np.floating[Any]]
    """The (K, b, W) sums over the windows that cover a pixel, valid until the next band."""
    counts_bW: NDArray[np.int64]
    """The (b, W) numbers of windows that cover a pixel."""


def sum_windows(
    size: tuple[int, int], windows: Iterable[Window], scores: Iterable[NDArray[np.floating[Any]]]
) -> Iterator[Band]:
    """Sum overlapping windows, and yield the sums from top to bottom.

    At most the rows of one window are in memory, regardless of the image's height.

    Args:
        size: The (H, W) of the image.
        windows: The windows, of one size, row by row from the top, which together cover the image.
        scores: The (K, h, w) scores of each, in the same order.
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
    """Move the rows after the first `done` ones to the front, and clear the rest."""
    rows = np.moveaxis(rows, axis, 0)
    left = len(rows) - done
    for i in range(left):  # row by row, as source and target overlap
        rows[i] = rows[i + done]
    rows[left:] = 0
