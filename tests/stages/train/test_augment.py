"""Views of labeled images: image and labels stay together, and draws are reproducible."""

import colorsys

import cv2
import numpy as np
import pytest

from icstream.model import Fit
from icstream.stages.data import VOID, LabeledImage
from icstream.stages.train import Augmentation
from icstream.stages.train.augment import (
    View,
    fitted_view,
    random_view,
    recolored,
    whole_view,
)
from support.stripes import LABELS, Stripes

MEAN = (124, 117, 104)
PLAIN = Augmentation(scale=(1, 1), flip=False)
PLAIN_FLIP = Augmentation(scale=(1, 1))


def two_halves(height: int = 60, width: int = 80) -> LabeledImage:
    """Return an image that is dark and class 0 on the left, bright and class 1 on the right."""
    ids = np.zeros((height, width), np.uint8)
    ids[:, width // 2 :] = 1
    return LabeledImage(np.repeat(ids[..., None] * np.uint8(200), 3, axis=2), ids)


def view(augmentation: Augmentation, seed: int = 0, *, scale: int = 1) -> View:
    rng = np.random.default_rng(seed)
    return random_view(
        two_halves(), augmentation, rng, size=(96, 128), input_scale=scale, mean_color=MEAN
    )


def test_a_crop_larger_than_the_image_holds_it_whole_within_mean_and_void() -> None:
    made = view(PLAIN)
    known = made.ids_hw != VOID
    assert known.sum() == 60 * 80
    beyond = cv2.dilate(known.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    assert (made.input_hw3[beyond] == MEAN).all()
    rows, columns = np.nonzero(known)
    assert [int(np.ptp(rows)), int(np.ptp(columns))] == [59, 79]
    bright = made.input_hw3[..., 0]
    assert set(np.unique(made.ids_hw)) == {0, 1, VOID}
    assert (bright[made.ids_hw == 1] >= 100).mean() > 0.99
    assert (bright[made.ids_hw == 0] <= 100).mean() > 0.99


@pytest.mark.parametrize("seed", range(20))
def test_image_and_labels_turn_zoom_and_flip_together(seed: int) -> None:
    augmentation = Augmentation(scale=(0.7, 3), rotation_degrees=20)
    made = view(augmentation, seed)
    bright = made.input_hw3[..., 0].astype(int)
    # Only along the edge between the halves may the two disagree, where colors are mixed.
    assert (np.abs(bright[made.ids_hw == 1] - 200) <= 1).mean() > 0.9
    assert (bright[made.ids_hw == 0] <= 1).mean() > 0.9


def test_doubling_takes_four_times_the_pixels() -> None:
    assert (view(PLAIN, scale=2).ids_hw != VOID).sum() == 96 * 128
    whole = random_view(
        two_halves(),
        PLAIN,
        np.random.default_rng(0),
        size=(200, 200),
        input_scale=2,
        mean_color=MEAN,
    )
    assert (whole.ids_hw != VOID).sum() == 4 * 60 * 80


def test_zooms_cover_their_range() -> None:
    areas = [
        (view(Augmentation(scale=(0.5, 1.0), flip=False), seed).ids_hw != VOID).sum()
        for seed in range(200)
    ]
    zooms = np.sqrt(np.array(areas) / (60 * 80))
    assert zooms.min() < 0.52
    assert zooms.max() > 0.98
    assert abs(np.median(zooms) - 0.5**0.5) < 0.05  # log-uniform


def test_flips_half_of_the_time() -> None:
    flipped = [
        int(view(Augmentation(scale=(1, 1)), seed).ids_hw[48, 30:98][10] == 1)
        for seed in range(300)
    ]
    assert 110 < sum(flipped) < 190


def test_the_same_draw_gives_the_same_view() -> None:
    augmentation = Augmentation(rotation_degrees=10, color=0.5)
    one, two, other = (view(augmentation, seed) for seed in (5, 5, 6))
    assert (one.input_hw3 == two.input_hw3).all()
    assert (one.ids_hw == two.ids_hw).all()
    assert (one.input_hw3 != other.input_hw3).any()


def test_colors_change_about_gray_and_by_their_strength() -> None:
    gray = np.full((4, 4, 3), 128, np.uint8)
    color = np.full((4, 4, 3), (180, 100, 60), np.uint8)
    assert (recolored(color, 0.0, np.random.default_rng(0)) == color).all()
    moved = []
    for seed in range(100):
        seen = recolored(gray, 0.4, np.random.default_rng(seed))
        assert np.ptp(seen[0, 0].astype(int)) <= 1  # gray stays gray
        moved.append(int(seen[0, 0, 0]) - 128)
        hue = colorsys.rgb_to_hsv(*(recolored(color, 0.4, np.random.default_rng(seed))[0, 0] / 255))
        assert min(abs(hue[0] - 1 / 18), 1 - abs(hue[0] - 1 / 18)) < 0.12
    assert -27 < min(moved) < -15
    assert 15 < max(moved) < 27  # brightness is up to 64 * strength either way


def test_a_fitted_view_is_what_inference_sees() -> None:
    image = Stripes(3).load()
    made, geometry = fitted_view(image, Fit(double_below=90), MEAN)
    assert geometry.inner == (160, 200)
    assert made.input_hw3.shape == (*geometry.outer, 3)
    assert (made.ids_hw[160:] == VOID).all()
    assert (made.ids_hw[:160:2, :200:2] == image.ids_HW).all()
    stretched, geometry = fitted_view(image, Fit("stretch", (65, 65)), MEAN)
    assert stretched.ids_hw.shape == (65, 65)
    assert set(np.unique(stretched.ids_hw)) <= {*range(len(LABELS)), VOID}


def test_whole_views_are_fitted_and_sometimes_mirrored() -> None:
    image = two_halves()
    seen = {
        bool(whole_view(image, PLAIN_FLIP, np.random.default_rng(s), Fit(), MEAN).ids_hw[0, 0])
        for s in range(20)
    }
    assert seen == {False, True}
