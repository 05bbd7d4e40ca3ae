"""What is seen of samples before the first step."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from icstream.model import ConfigError
from icstream.stages.data import VOID, LabeledData, LabeledImage, Sample
from icstream.stages.train.measure import (
    MAX_MEASURED,
    check_labeled,
    measure_samples,
    warn_of_absent_classes,
)
from support.stripes import LABELS, Stripes, stripes_data


@dataclass(frozen=True, slots=True)
class Flat:
    """An image of one id."""

    name: str
    value: int

    def load(self) -> LabeledImage:
        return LabeledImage(np.zeros((4, 5, 3), np.uint8), np.full((4, 5), self.value, np.uint8))


def data_of(*samples: Sample) -> LabeledData:
    return replace(stripes_data(), splits={"train": samples, "val": samples})


def test_a_split_of_nothing_but_void_is_refused() -> None:
    void = tuple(Flat(f"void {k}", VOID) for k in range(3))
    with pytest.raises(ConfigError, match="stripes: split 'val': no pixel has a class"):
        check_labeled(data_of(*void), "val")
    check_labeled(data_of(*void, Flat("one", 2)), "val")


def test_a_split_without_one_usable_sample_names_the_first() -> None:
    broken = Stripes(1, corrupted=True)
    with pytest.raises(ConfigError, match=r"none of its 2 samples can be used.*stripes 1: cannot"):
        check_labeled(data_of(broken, Stripes(2, corrupted=True)), "train")
    check_labeled(data_of(broken, Stripes(2)), "train")


def test_classes_without_a_pixel_are_named(caplog: pytest.LogCaptureFixture) -> None:
    data = data_of(Flat("a", 0), Flat("b", VOID))
    warn_of_absent_classes(data, measure_samples(data.split("train"), len(LABELS)))
    assert "classes 'red', 'green' have no pixel in the training set" in caplog.text
    assert "255, which is void" in caplog.text
    caplog.clear()
    whole = stripes_data()
    warn_of_absent_classes(whole, measure_samples(whole.split("train"), len(LABELS)))
    assert caplog.text == ""


def test_for_a_large_set_the_number_of_measured_images_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = data_of(*(Flat(str(k), k % 2) for k in range(2 * MAX_MEASURED + 1)))
    statistics = measure_samples(data.split("train"), len(LABELS))
    assert len(statistics.digests) <= MAX_MEASURED
    warn_of_absent_classes(data, statistics)
    assert f"class 'green' has no pixel in {len(statistics.digests)} of 1001" in caplog.text


def test_a_pixel_or_a_label_that_changes_changes_the_digest() -> None:
    digests = {
        measure_samples([sample], len(LABELS)).digests["x"]
        for sample in (Flat("x", 0), Flat("x", 1), Flat("x", VOID))
    }
    assert len(digests) == 3
