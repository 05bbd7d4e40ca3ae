"""Areas of classes; numpy's count of the same pixels is the independent source."""

import numpy as np

from icstream.stages.class_areas import count_class_pixels


def test_areas_are_counts_of_pixels() -> None:
    class_ids = np.random.default_rng(0).integers(0, 256, (90, 161), dtype=np.uint8)
    areas = count_class_pixels(class_ids)
    assert areas.dtype == np.int64
    assert np.array_equal(areas, np.bincount(class_ids.ravel(), minlength=256))
    assert np.array_equal(count_class_pixels(class_ids, 11), areas[:11])
