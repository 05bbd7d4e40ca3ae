"""The confusion matrix of masks, and the scores computed from it."""

import numpy as np
from numpy.typing import NDArray

from icstream.model import ConfigError


class Confusion:
    """The numbers of pixels by true and predicted class, over any number of masks.

    Attributes:
        counts: The (K, K + F) int64 numbers; row = true class, column = predicted class. The last F
            columns hold predicted classes that the truth does not contain; they are always wrong,
            and have no scores of their own.
    """

    def __init__(self, num_classes: int, *, num_foreign: int = 0) -> None:
        self.counts = np.zeros((num_classes, num_classes + num_foreign), np.int64)

    def add(self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        """Add one mask; pixels whose true id is not a class (void) are ignored.

        Raises:
            ConfigError: The shapes differ, or a predicted id is not a class.
        """
        if predicted.shape != truth.shape:
            raise ConfigError(f"masks differ in size: {predicted.shape} and {truth.shape}")
        num_classes, num_predicted = self.counts.shape
        counted = truth < num_classes
        pairs = truth[counted].astype(np.int64) * num_predicted + predicted[counted]
        if predicted[counted].max(initial=0) >= num_predicted:
            raise ConfigError(f"a predicted id is not below the number of classes, {num_predicted}")
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)

    def iou(self) -> NDArray[np.float64]:
        """Return the (K,) intersection over union; NaN for classes neither true nor predicted."""
        return _shares(self._hits(), self._num_true() + self._num_predicted() - self._hits())

    def precision(self) -> NDArray[np.float64]:
        """Return the (K,) share of correct pixels among the predicted; NaN where there are none."""
        return _shares(self._hits(), self._num_predicted())

    def recall(self) -> NDArray[np.float64]:
        """Return the (K,) share of correct pixels among the true ones; NaN where there are none."""
        return _shares(self._hits(), self._num_true())

    def miou(self) -> float:
        """Return the mean IoU over the classes that occur; NaN if none does."""
        present = self.iou()[~np.isnan(self.iou())]
        return float(present.mean()) if len(present) else float("nan")

    def pixel_accuracy(self) -> float:
        """Return the share of pixels with the correct class; NaN if none was counted."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

    def _hits(self) -> NDArray[np.int64]:
        return np.diag(self.counts)

    def _num_true(self) -> NDArray[np.int64]:
        return np.asarray(self.counts.sum(1), np.int64)

    def _num_predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.counts.sum(0)[: len(self.counts)], np.int64)


def _shares(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares
