"""The confusion matrix against figures worked out by hand."""

import numpy as np
import pytest

from icstream.model import ConfigError
from icstream.stages.confusion import Confusion


def test_figures_of_a_small_example() -> None:
    truth = np.array([[0, 0, 1], [1, 1, 255]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    confusion = Confusion(3)
    confusion.add(predicted, truth)
    # class 0: 1 hit of 3 pixels in the union; class 1: 2 of 4; class 2 only under void
    assert confusion.iou()[:2].tolist() == [1 / 3, 1 / 2]
    assert np.isnan(confusion.iou()[2])
    assert confusion.miou() == pytest.approx(5 / 12)
    assert confusion.pixel_accuracy() == pytest.approx(3 / 5)


def test_counts_add_up_over_masks() -> None:
    confusion = Confusion(2)
    for _ in range(3):
        confusion.add(np.ones((4, 5), np.uint8), np.zeros((4, 5), np.uint8))
    assert confusion.counts.tolist() == [[0, 60], [0, 0]]


def test_foreign_predictions_are_misses_without_a_figure() -> None:
    confusion = Confusion(2, num_foreign=1)
    confusion.add(np.array([[0, 2, 2, 1]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8))
    assert confusion.counts.tolist() == [[1, 0, 1], [0, 1, 1]]
    # each class: 1 hit of 2 true and 1 predicted pixel
    assert confusion.iou().tolist() == [1 / 2, 1 / 2]
    assert confusion.precision().tolist() == [1, 1]
    assert confusion.recall().tolist() == [1 / 2, 1 / 2]
    assert confusion.pixel_accuracy() == 1 / 2


def test_nothing_counted_gives_nan() -> None:
    assert np.isnan(Confusion(2).miou())
    assert np.isnan(Confusion(2).pixel_accuracy())


def test_masks_of_other_size_or_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="differ in size"):
        Confusion(2).add(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(ConfigError, match="not below the number of classes, 2"):
        Confusion(2).add(np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8))
