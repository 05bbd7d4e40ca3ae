"""How well masks agree with the truth: the confusion matrix and what follows from it."""

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError


class Confusion:
    """Counts pixels by true and predicted class over any number of masks.

    Attributes:
        counts: (K, K) int64; row = true class, column = predicted class.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def add(self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        """Counts one mask; pixels whose true id is no class (void) are left out.

        Raises:
            ConfigError: the shapes differ, or a predicted id is no class.
        """
        if predicted.shape != truth.shape:
            raise ConfigError(f"masks differ in size: {predicted.shape} and {truth.shape}")
        num_classes = len(self.counts)
        counted = truth < num_classes
        pairs = truth[counted].astype(np.int64) * num_classes + predicted[counted]
        if predicted[counted].max(initial=0) >= num_classes:
            raise ConfigError(f"a predicted id is not below the {num_classes} classes")
        self.counts += np.bincount(pairs, minlength=num_classes**2).reshape(self.counts.shape)

    def iou(self) -> NDArray[np.float64]:
        """Gives (K,) intersection over union; NaN for classes neither true nor predicted."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        iou = np.full(len(hits), np.nan)
        np.divide(hits, union, out=iou, where=union > 0)
        return iou

    def miou(self) -> float:
        """Gives the mean IoU over the classes that occur; NaN if none does."""
        present = self.iou()[~np.isnan(self.iou())]
        return float(present.mean()) if len(present) else float("nan")

    def pixel_accuracy(self) -> float:
        """Gives the share of pixels whose class is right; NaN if none was counted."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")
