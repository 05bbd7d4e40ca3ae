"""The confusion matrix as an image."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.stages.evaluate.evaluation import Evaluation

_CELL = 48
_MARGIN = 12
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SCALE = 0.5
_INK, _PAPER, _LINE = (30, 30, 30), (255, 255, 255), (205, 205, 205)
_FULL = np.array((8, 61, 119), np.float64)
"""The color of a cell with 100 % of its row."""
_DARK_FROM = 0.45


def draw_confusion(evaluation: Evaluation) -> NDArray[np.uint8]:
    """Return an RGB image with a row for each true class, in percent of its pixels, and its IoU.

    Columns are predicted classes. A class without pixels in the truth has an empty row.
    """
    counts, names = evaluation.confusion.counts, evaluation.matching.labels.names
    num_rows, num_columns = counts.shape
    side = max(_width(name) for name in (*names, "true \\ predicted")) + _MARGIN
    left, top = _MARGIN + side, _MARGIN + side
    height = top + num_rows * _CELL + _MARGIN
    width = left + (num_columns + 1) * _CELL + 2 * _MARGIN
    image = np.full((height, width, 3), _PAPER, np.uint8)
    _write(image, "true \\ predicted", _MARGIN, top - 8)
    for row, name in enumerate(names[:num_rows]):
        _write(image, name, _MARGIN, top + row * _CELL + _CELL // 2 + 5)
    _write_upwards(image, [*names, "IoU"], left, top)
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    for (row, column), share in np.ndenumerate(shares):
        _draw_cell(image, left + column * _CELL, top + row * _CELL, float(share))
    for row, iou in enumerate(evaluation.confusion.iou().tolist()):
        text = "-" if np.isnan(iou) else f"{100 * iou:.1f}"
        _write_centered(image, text, left + num_columns * _CELL + _MARGIN, top + row * _CELL, _INK)
    return image


def _draw_cell(image: NDArray[np.uint8], x: int, y: int, share: float) -> None:
    color = _FULL * share + np.array(_PAPER) * (1 - share)
    image[y : y + _CELL + 1, x : x + _CELL + 1] = _LINE
    image[y + 1 : y + _CELL, x + 1 : x + _CELL] = color.round().astype(np.uint8)
    if share >= 0.0005:  # less would be printed as 0.0
        _write_centered(image, f"{100 * share:.1f}", x, y, _PAPER if share > _DARK_FROM else _INK)


def _write_upwards(image: NDArray[np.uint8], names: Sequence[str], left: int, top: int) -> None:
    """Write one name above each column, rotated to the left."""
    strip = np.full((len(names) * _CELL, top - _MARGIN, 3), _PAPER, np.uint8)
    for column, name in enumerate(names):
        _write(strip, name, 6, column * _CELL + _CELL // 2 + 5)
    turned = np.rot90(strip)
    image[_MARGIN:top, left : left + turned.shape[1]] = turned


def _write_centered(
    image: NDArray[np.uint8], text: str, x: int, y: int, color: tuple[int, int, int]
) -> None:
    _write(image, text, x + (_CELL - _width(text)) // 2, y + _CELL // 2 + 5, color)


def _write(
    image: NDArray[np.uint8], text: str, x: int, y: int, color: tuple[int, int, int] = _INK
) -> None:
    cv2.putText(image, text, (x, y), _FONT, _SCALE, color, 1, cv2.LINE_AA)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _SCALE, 1)[0][0])
