"""Contact sheets of images and masks, for visual inspection."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.model import LabelSet

_MARGIN = 8
_TEXT_HEIGHT = 24
_INK = (30, 30, 30)


def draw_contact_sheet(
    rows: Sequence[Sequence[NDArray[np.uint8]]], *, titles: Sequence[str], labels: LabelSet
) -> NDArray[np.uint8]:
    """Return one RGB image with a column for each title and a legend of the classes.

    Args:
        rows: The images of each row, one for each title: (H, W, 3) RGB, or (H, W) class ids, which
            are drawn in their colors. All have the same height and width.
        titles: The titles of the columns.
        labels: The names and colors of the classes.
    """
    palette = labels.palette()
    height, width = rows[0][0].shape[:2]
    sheet_width = _MARGIN + len(titles) * (width + _MARGIN)
    top = _TEXT_HEIGHT + _MARGIN
    columns = max(1, sheet_width // 150)
    legend_rows = -(-len(labels) // columns)
    sheet_height = top + len(rows) * (height + _MARGIN) + legend_rows * _TEXT_HEIGHT + _MARGIN
    sheet = np.full((sheet_height, sheet_width, 3), 255, np.uint8)
    for column, title in enumerate(titles):
        _write(sheet, title, _MARGIN + column * (width + _MARGIN), _TEXT_HEIGHT - 4)
    for row, images in enumerate(rows):
        y = top + row * (height + _MARGIN)
        for column, image in enumerate(images):
            x = _MARGIN + column * (width + _MARGIN)
            sheet[y : y + height, x : x + width] = palette[image] if image.ndim == 2 else image
    y = top + len(rows) * (height + _MARGIN)
    _draw_legend(sheet, labels, y, columns)
    return sheet


def _draw_legend(sheet: NDArray[np.uint8], labels: LabelSet, top: int, columns: int) -> None:
    step = (sheet.shape[1] - _MARGIN) // columns
    for i, (name, color) in enumerate(zip(labels.names, labels.colors, strict=True)):
        x, y = _MARGIN + i % columns * step, top + i // columns * _TEXT_HEIGHT
        cv2.rectangle(sheet, (x, y + 4), (x + 18, y + 18), color, cv2.FILLED)
        _write(sheet, name, x + 24, y + 17)


def _write(sheet: NDArray[np.uint8], text: str, x: int, y: int) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
