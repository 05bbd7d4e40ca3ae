"""Stability of masks in time: how much of them changes from one frame to the next."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from icstream.stages.confusion import Confusion

PROTOCOL = (
    "pairs of successive frames without a gap or a change of format between them; motion by dense"
    " inverse search (OpenCV, preset medium), from the later frame to the earlier; pixels that come"
    " from outside the image are left out; one confusion matrix over all pairs"
)


class Stability:
    """Counts of pixels whose class changes between successive frames.

    A change at a place may be due to the motion of the camera. So each mask is also carried along
    the optical flow (Kroeger et al. 2016, dense inverse search), and compared
    with the next one. What still changes is flicker, newly visible, or an error of the flow.

    Attributes:
        num_frames: Number of frames.
        num_pairs: Number of pairs of successive frames.
        confusion: Pixels by class in the later frame (row) and in the mask carried to it (column).
    """

    def __init__(self, num_classes: int) -> None:
        self.num_frames = 0
        self.num_pairs = 0
        self.confusion = Confusion(num_classes)
        self._num_pixels = 0
        self._num_changed = 0
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None

    def add(self, image_HW3: NDArray[np.uint8], class_ids_HW: NDArray[np.uint8]) -> None:
        """Add the next frame, in RGB, and its mask."""
        gray_HW = cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY)
        if self._before is not None and self._before[0].shape == gray_HW.shape:
            self._compare(*self._before, np.asarray(gray_HW, np.uint8), class_ids_HW)
        self._before = np.asarray(gray_HW, np.uint8), class_ids_HW
        self.num_frames += 1

    def interrupt(self) -> None:
        """Compare the next frame with none, as frames are missing before it."""
        self._before = None

    @property
    def changed(self) -> float:
        """The share of pixels with another class than at the same place before; NaN if no pair."""
        return self._num_changed / self._num_pixels if self._num_pixels else math.nan

    @property
    def changed_after_flow(self) -> float:
        """The share of pixels with another class than where they came from; NaN if no pair."""
        return 1 - self.confusion.pixel_accuracy()

    def values(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return the results as plain JSON values, with shares of 0 to 1, or null if undefined."""
        ious = zip(names, self.confusion.iou().tolist(), strict=True)
        return {
            "protocol": PROTOCOL,
            "num_frames": self.num_frames,
            "num_pairs": self.num_pairs,
            "changed": _value(self.changed),
            "changed_after_flow": _value(self.changed_after_flow),
            "miou_after_flow": _value(self.confusion.miou()),
            "iou_after_flow": {name: _value(iou) for name, iou in ious},
        }

    def summary(self) -> list[str]:
        """Return the results as lines of text."""
        if not self.num_pairs:
            return [f"{self.num_frames} frames, and no two without a gap between them"]
        return [
            f"{self.num_pairs} pairs of frames: {100 * self.changed:.2f} % of pixels change class,"
            f" {100 * self.changed_after_flow:.2f} % along the optical flow",
            "mIoU of masks carried along the flow with the next ones:"
            f" {100 * self.confusion.miou():.2f} %",
        ]

    def _compare(
        self,
        earlier_gray_HW: NDArray[np.uint8],
        earlier_ids_HW: NDArray[np.uint8],
        later_gray_HW: NDArray[np.uint8],
        later_ids_HW: NDArray[np.uint8],
    ) -> None:
        self.num_pairs += 1
        self._num_pixels += later_ids_HW.size
        self._num_changed += int(np.count_nonzero(earlier_ids_HW != later_ids_HW))
        height, width = later_ids_HW.shape
        # OpenCV's types do not know that the memory for the result may be left out.
        flow_HW2 = self._flow.calc(later_gray_HW, earlier_gray_HW, None)  # type: ignore[call-overload]
        rows_H1, columns_1W = np.ogrid[:height, :width]
        from_x_HW = np.rint(columns_1W + flow_HW2[..., 0]).astype(np.int64)
        from_y_HW = np.rint(rows_H1 + flow_HW2[..., 1]).astype(np.int64)
        inside_HW = (from_x_HW >= 0) & (from_x_HW < width) & (from_y_HW >= 0) & (from_y_HW < height)
        carried = earlier_ids_HW[from_y_HW[inside_HW], from_x_HW[inside_HW]]
        self.confusion.add(carried, later_ids_HW[inside_HW])


def _value(share: float) -> float | None:
    return None if math.isnan(share) else share
