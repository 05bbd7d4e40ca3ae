"""Stability of masks, on images that move by known amounts."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from icstream.stages.evaluate.stability import Stability


@pytest.fixture(scope="module")
def scene() -> NDArray[np.uint8]:
    """Return an image with detail of some pixels everywhere, as optical flow needs it."""
    noise = np.random.default_rng(0).integers(0, 256, (140, 220, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.5), np.uint8)


def test_what_changes_on_a_still_image_is_counted_exactly(scene: NDArray[np.uint8]) -> None:
    before = np.zeros((140, 220), np.uint8)
    before[70:] = 1
    after = before.copy()
    after[:7, :100] = 1  # 700 of 30800 pixels
    stability = Stability(3)
    stability.add(scene, before)
    stability.add(scene, after)
    assert stability.changed == pytest.approx(700 / 30800)
    assert stability.changed_after_flow == pytest.approx(700 / 30800)
    values = stability.values(("a", "b", "c"))
    assert values["iou_after_flow"] == {
        "a": pytest.approx(14700 / 15400),
        "b": pytest.approx(15400 / 16100),
        "c": None,
    }
    assert (values["num_frames"], values["num_pairs"]) == (2, 1)


def test_motion_is_no_change_along_the_flow(scene: NDArray[np.uint8]) -> None:
    ids = (np.indices((140, 220)).sum(0) // 20 % 2).astype(np.uint8)  # diagonal stripes
    stability = Stability(2)
    for shift in range(4):  # to the left by 4 pixels per frame
        view = slice(4 * shift, 4 * shift + 200)
        stability.add(np.ascontiguousarray(scene[:, view]), ids[:, view])
    # Stripes 20 wide that move by 4: a fifth of all pixels changes.
    assert stability.changed == pytest.approx(0.2, abs=0.01)
    assert stability.changed_after_flow < 0.01
    assert stability.confusion.miou() > 0.98


def test_frames_on_both_sides_of_a_gap_or_of_other_sizes_are_not_compared(
    scene: NDArray[np.uint8],
) -> None:
    ids = np.zeros((140, 220), np.uint8)
    stability = Stability(2)
    stability.add(scene, ids)
    stability.interrupt()
    stability.add(scene, ids + 1)
    stability.add(np.ascontiguousarray(scene[:100]), ids[:100])
    assert (stability.num_frames, stability.num_pairs) == (3, 0)
    assert math.isnan(stability.changed)
    assert stability.values(("a", "b"))["changed"] is None
    assert stability.summary() == ["3 frames, and no two without a gap between them"]
