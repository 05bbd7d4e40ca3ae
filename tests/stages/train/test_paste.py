"""Objects cut out of some images and pasted into others."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from icstream.model import ConfigError
from icstream.stages.data import VOID, LabeledImage
from icstream.stages.train import Augmentation, Paste
from icstream.stages.train.build import objects_to_paste
from icstream.stages.train.paste import CutOut, cut_out_objects, with_pasted
from support.stripes import LABELS, Stripes, stripes_data
from support.trainings import RECIPE

SAME_SIZE = Paste(classes=("red",), max_objects=1, scale=(1, 1))


@dataclass(frozen=True, slots=True)
class Drawn:
    """An image with two boxes of class 1, one of class 2, and one cut off by the left edge."""

    name: str = "drawn"

    def load(self) -> LabeledImage:
        ids_HW = np.zeros((120, 160), np.uint8)
        ids_HW[10:20, 5:15] = 1
        ids_HW[12:16, 7:12] = 0  # a hole
        ids_HW[40:50, 30:34] = 1
        ids_HW[25:35, 60:70] = 2
        ids_HW[0:5, 0:9] = 1  # cut off
        ids_HW[50, 50] = 1  # a speck
        return LabeledImage(np.repeat(ids_HW[..., None] * np.uint8(100), 3, axis=2), ids_HW)


def empty(size: tuple[int, int] = (60, 80)) -> LabeledImage:
    return LabeledImage(np.full((*size, 3), 30, np.uint8), np.full(size, VOID, np.uint8))


def test_each_region_is_an_object_but_specks_and_what_the_edge_cuts_off() -> None:
    objects = cut_out_objects([Stripes(0, corrupted=True), Drawn()], [0, 1, 2])
    assert [int(cut_out.mask_hw.sum()) for cut_out in objects[0]] == [20]  # the hole
    areas = sorted(int(cut_out.mask_hw.sum()) for cut_out in objects[1])
    assert areas == [40, 80]
    ring = next(cut_out for cut_out in objects[1] if cut_out.mask_hw.sum() == 80)
    assert (ring.mask_hw.shape, ring.bottom, ring.image_height) == ((10, 10), 20, 120)
    assert ring.mask_hw[2:6, 2:7].sum() == 0
    assert (ring.rgb_hw3[ring.mask_hw == 1] == 100).all()


def pasted(seed: int, image: LabeledImage, paste: Paste = SAME_SIZE) -> LabeledImage:
    box = CutOut(1, np.full((10, 6, 3), 200, np.uint8), np.ones((10, 6), np.uint8), 60, 40)
    return with_pasted(image, {1: (box,)}, paste, np.random.default_rng(seed))


def test_objects_stand_at_their_height_anywhere_along_the_row() -> None:
    lefts = []
    for seed in range(60):
        made = pasted(seed, empty())
        rows, columns = np.nonzero(made.ids_HW == 1)
        if not len(rows):
            continue  # none was drawn
        assert (rows.min(), rows.max()) == (30, 39)
        assert (made.rgb_HW3[made.ids_HW == 1] == 200).all()
        assert (made.rgb_HW3[made.ids_HW != 1] == 30).all()
        lefts.append(columns.min())
    assert 15 < len(lefts) < 45  # half of 60
    assert min(lefts) < 10
    assert max(lefts) > 65


def test_in_an_image_of_another_size_they_are_zoomed_with_it() -> None:
    made = [pasted(seed, empty((120, 160))).ids_HW for seed in range(40)]
    whole = [ids for ids in made if (ids == 1).any() and not (ids[:, [0, -1]] == 1).any()]
    assert {int((ids == 1).sum()) for ids in whole} == {20 * 12}
    assert all(np.nonzero(ids == 1)[0].max() == 79 for ids in whole)


def test_the_image_that_is_pasted_into_is_left_alone_and_draws_decide() -> None:
    image = empty()
    one, again = (pasted(5, image, replace(SAME_SIZE, max_objects=5)) for _ in range(2))
    assert (one.ids_HW == again.ids_HW).all()
    assert (one.rgb_HW3 == again.rgb_HW3).all()
    assert (image.rgb_HW3 == 30).all()
    assert (image.ids_HW == VOID).all()


def test_settings_choose_the_classes_and_unknown_ones_are_named() -> None:
    data = stripes_data()
    assert objects_to_paste(RECIPE, data) is None

    def pasting(*names: str) -> Augmentation:
        return Augmentation(paste=Paste(classes=names))

    objects = objects_to_paste(replace(RECIPE, augmentation=pasting("green")), data)
    assert objects is not None
    assert set(objects) == {LABELS.names.index("green")}
    with pytest.raises(ConfigError, match=r"paste\.classes: there is no class 'Pole'"):
        objects_to_paste(replace(RECIPE, augmentation=pasting("Pole")), data)
