"""Class names brought together, against numberings worked out by hand."""

import numpy as np
import pytest

from icstream.model import CAMVID, CITYSCAPES, ConfigError, LabelSet
from icstream.stages.evaluate import Matching


def labels(*names: str) -> LabelSet:
    return LabelSet.from_values([(name, (k, 0, 0)) for k, name in enumerate(names)])


def test_the_same_classes_keep_their_ids() -> None:
    matching = Matching.of(CAMVID, CAMVID)
    assert matching.truth_ids[:11].tolist() == list(range(11))
    assert matching.predicted_ids[:11].tolist() == list(range(11))
    assert (matching.truth_ids[11:] == 255).all()
    assert (matching.scored, matching.labels, matching.notes) == (CAMVID.names, CAMVID, ())


def test_another_order_is_matched_by_name_with_a_note() -> None:
    matching = Matching.of(labels("road", "Car", "sky"), labels("Sky", "Road", "car"))
    assert matching.truth_ids[:3].tolist() == [0, 1, 2]
    assert matching.predicted_ids[:3].tolist() == [2, 0, 1]
    assert matching.notes == (
        "the label sets of data and weights differ; classes are matched by name",
    )


def test_classes_that_the_data_lacks_are_wrong_but_not_scored() -> None:
    matching = Matching.of(labels("road", "sky"), labels("sky", "tram", "road", "bus"))
    assert matching.scored == ("road", "sky")
    assert matching.labels.names == ("road", "sky", "tram", "bus")
    assert matching.predicted_ids[:4].tolist() == [1, 2, 0, 3]
    assert "tram, bus: not in the data; pixels predicted so count as wrong" in matching.notes
    confusion = matching.confusion()
    confusion.add(np.array([[0, 1, 2, 3]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8))
    # road: 1 hit of 3 true and 1 predicted; sky: none of 1 true and 1 predicted
    assert confusion.iou().tolist() == [1 / 3, 0]
    assert confusion.miou() == pytest.approx(1 / 6)
    assert confusion.pixel_accuracy() == 1 / 4


def test_classes_that_the_weights_lack_are_scored_with_nothing() -> None:
    matching = Matching.of(labels("road", "tram", "sky"), labels("road", "sky"))
    assert matching.scored == ("road", "tram", "sky")
    assert matching.predicted_ids[:2].tolist() == [0, 2]
    assert "tram: not in the weights; all their pixels count as wrong" in matching.notes


@pytest.mark.parametrize("name", ["background", "Unlabelled"])
def test_the_background_of_a_project_is_void_to_weights_without_it(name: str) -> None:
    matching = Matching.of(labels(name, "car", "road"), labels("road", "car"))
    assert matching.scored == ("car", "road")
    assert matching.truth_ids[:3].tolist() == [255, 0, 1]
    assert matching.predicted_ids[:2].tolist() == [1, 0]
    assert f"{name}: not in the weights; counted as void" in matching.notes


def test_the_background_is_a_class_if_the_weights_have_it() -> None:
    matching = Matching.of(labels("background", "car"), labels("car", "Background"))
    assert matching.scored == ("background", "car")
    assert matching.predicted_ids[:2].tolist() == [1, 0]


def test_names_that_differ_in_case_only_stay_apart_where_both_are_known() -> None:
    matching = Matching.of(labels("car", "Car"), labels("Car", "car"))
    assert matching.predicted_ids[:2].tolist() == [1, 0]
    assert matching.truth_ids[:2].tolist() == [0, 1]


def test_camvid_and_cityscapes_share_what_is_called_alike() -> None:
    matching = Matching.of(CAMVID, CITYSCAPES)
    shared = {n for n in CAMVID.names if n.lower() in CITYSCAPES.names}
    assert shared == {"Sky", "Building", "Pole", "Road", "Fence", "Car"}
    assert len(matching.labels) == 11 + 19 - 6
    assert matching.predicted_ids[CITYSCAPES.names.index("road")] == CAMVID.names.index("Road")


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"no class is in both data \(a, b\) and weights \(c, d\)"
    ):
        Matching.of(labels("a", "b"), labels("c", "d"))
    with pytest.raises(ConfigError, match="no class is in both"):
        Matching.of(labels("background", "b"), labels("c", "d"))
