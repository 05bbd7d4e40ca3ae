"""Each mode on images so small that the expected objects can be written down."""

import base64
import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from icstream.model import ConfigError
from icstream.stages import annotate_image
from icstream.stages.annotate import MisfitError
from icstream.stages.data import SampleError
from support.projects import bitmap, outline, packed, thing
from support.stand_in import mask_of

SIZE = (6, 8)
META = {
    "classes": [
        {"title": "Car", "shape": "any", "color": "#102030"},
        {"title": "Tree", "shape": "bitmap", "color": "#00FF00"},
    ],
    "tags": [],
    "projectType": "images",
}
CAR = thing("Car", outline([[2, 1], [4, 3]]), "rectangle")
TREE = thing("Tree", bitmap([6, 0], packed(np.full((6, 2), 255, np.uint8))), "bitmap")
LEFT_HALF = np.arange(8)[None] < np.full((6, 1), 4)


def make_image() -> NDArray[np.uint8]:
    """Red tells the class that `by_color` gives a pixel: background, a, b."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, :4, 0] = 1
    image[2:4, 4:6, 0] = 2
    return image


def by_color(rgb_HW3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return 0.8 to the class that red names, 0.1 to both others."""
    return np.stack([np.where(rgb_HW3[..., 0] == k, 0.8, 0.1) for k in range(3)]).astype(np.float32)


def run(mode: Mapping[str, Any], **other: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    annotation = {
        "description": "kept",
        "size": {"height": SIZE[0], "width": SIZE[1]},
        "tags": [{"name": "val"}],
        "objects": [CAR, TREE],
        "imageId": 7,
    }
    image = other.pop("image", make_image())
    predict = other.pop("predict", by_color)
    classes: list[Any] = [("a", "#AA0000"), {"title": "b", "color": "#0000BB", "shape": "bitmap"}]
    got = annotate_image(
        image, annotation, META, mode=mode, classes=classes, predict=predict, **other
    )
    assert {k: v for k, v in got.annotation.items() if k not in ("objects", "customBigData")} == {
        k: v for k, v in annotation.items() if k != "objects"
    }
    return got.annotation["objects"], got.meta


def titles(objects: list[dict[str, Any]]) -> list[str]:
    return [entry["classTitle"] for entry in objects]


def test_full_image_appends_one_bitmap_per_class() -> None:
    objects, meta = run({"name": "full_image"})
    assert objects[:2] == [CAR, TREE]
    assert titles(objects[2:]) == ["a_icnet", "b_icnet"]
    assert (mask_of(objects[2], SIZE) == LEFT_HALF).all()
    assert (mask_of(objects[3], SIZE) == (make_image()[..., 0] == 2)).all()
    assert [(c["title"], c["color"]) for c in meta["classes"][2:]] == [
        ("a_icnet", "#AA0000"),
        ("b_icnet", "#0000BB"),
    ]
    assert meta["projectType"] == "images"


def test_roi_looks_at_a_part_and_shifts_back() -> None:
    seen = []

    def watch(rgb_HW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(rgb_HW3.shape[:2])
        return by_color(rgb_HW3)

    bounds = {"left": "37%", "top": "1px", "bottom": "34%"}  # 2.96 -> 2 px, 2.04 -> 2 px
    objects, meta = run({"name": "roi", "bounds": bounds, "save": True}, predict=watch)
    assert seen == [(3, 6)]
    assert titles(objects) == ["Car", "Tree", "a", "b", "inference_roi"]
    part = np.zeros(SIZE, np.bool_)
    part[1:4, 2:8] = True
    assert (mask_of(objects[2], SIZE) == (LEFT_HALF & part)).all()
    assert objects[4]["points"] == {"exterior": [[2, 1], [7, 3]], "interior": []}
    assert meta["classes"][-1]["shape"] == "rectangle"


def test_bboxes_puts_objects_before_their_sources() -> None:
    mode = {
        "name": "objects",
        "from_classes": ["Car"],
        "padding": {"left": "-1px", "right": "100%", "bottom": "34%"},
        "save": True,
    }
    objects, meta = run(mode)
    # The box is 3 wide and 3 high: 100 % are 3 px, 34 % are 1 px; x from 2 + 1 to 4 + 3.
    assert titles(objects) == ["a", "b", "Car_input_bbox", "Car", "Tree"]
    assert objects[2]["points"]["exterior"] == [[3, 1], [7, 4]]
    only = np.zeros(SIZE, np.bool_)
    only[1:5, 3] = True
    assert (mask_of(objects[0], SIZE) == only).all()
    assert (meta["classes"][-1]["title"], meta["classes"][-1]["color"]) == (
        "Car_input_bbox",
        "#102030",
    )


def test_a_box_that_shrinks_to_nothing_is_passed_over() -> None:
    mode = {"name": "bboxes", "padding": {"left": "-2px", "right": "-1px"}, "save": True}
    objects, _ = run(mode)
    assert titles(objects) == ["Car", "Tree"], "3 and 2 pixels wide, less 3"


def test_windows_are_added_up_where_they_overlap() -> None:
    """Two windows of width 5 share columns 3 and 4; the second one is surer, and wins there."""

    def unsure(rgb_HW3: NDArray[np.uint8]) -> NDArray[np.float64]:
        first = bool((rgb_HW3[..., 1] == 0).any())
        scores = (0.1, 0.5, 0.4) if first else (0.1, 0.2, 0.7)
        return np.tile(np.array(scores)[:, None, None], (1, *rgb_HW3.shape[:2]))

    image = make_image()
    image[..., 1] = np.arange(8)
    mode = {
        "name": "sliding_window",
        "window": {"width": 5, "height": 6},
        "min_overlap": {"x": 2},
        "save": True,
        "save_probabilities": True,
    }
    objects, meta = run(mode, image=image, predict=unsure)
    assert titles(objects[2:]) == ["sliding_window", "sliding_window", "a", "b"]
    corners = [entry["points"]["exterior"] for entry in objects[2:4]]
    assert corners == [[[0, 0], [4, 5]], [[3, 0], [7, 5]]]
    columns = np.broadcast_to(np.arange(8), SIZE)
    assert (mask_of(objects[4], SIZE) == (columns < 3)).all()
    assert (mask_of(objects[5], SIZE) == (columns >= 3)).all()
    assert len(meta["classes"]) == 5


def test_probabilities_are_means_over_windows() -> None:
    annotation = {"size": {"height": 6, "width": 8}, "tags": [], "objects": []}
    calls = iter([0.25, 0.75])

    def predict(rgb_HW3: NDArray[np.uint8]) -> NDArray[np.float64]:
        score = next(calls)
        return np.stack([np.full(rgb_HW3.shape[:2], s) for s in (1 - score, score)])

    got = annotate_image(
        make_image(),
        annotation,
        META,
        mode={
            "name": "sliding_window",
            "window": {"width": 5, "height": 6},
            "save_probabilities": True,
        },
        classes=[("a", (1, 2, 3))],
        predict=predict,
    )
    (label,) = got.annotation["customBigData"]["probabilityLabels"]
    (entry,) = got.annotation["customBigData"]["probabilityClasses"]
    assert (entry["title"], entry["color"], entry["shape"]) == (
        "a",
        "#010203",
        "multichannelBitmap",
    )
    data = zlib.decompress(base64.b64decode(label["multichannelBitmap"]["data"]))
    scores = np.load(io.BytesIO(data))
    assert scores.shape == (6, 8, 1)
    assert (scores[0, :, 0] == [0.25] * 3 + [0.5] * 2 + [0.75] * 3).all()


@pytest.mark.parametrize(("background", "wanted"), [("plugin", 48), ("compete", 28)])
def test_background_may_win_in_windows_with_compete(background: str, wanted: int) -> None:
    mode = {
        "name": "sliding_window",
        "window": {"width": 4, "height": 3},
        "background": background,
    }
    objects, _ = run(mode)
    # 24 pixels show a and 4 show b; of the other 20 the plugin made a named class, too.
    assert sum(int(mask_of(entry, SIZE).sum()) for entry in objects[2:]) == wanted


@pytest.mark.parametrize("name", ["full_image", "sliding_window"])
def test_unsure_pixels_stay_unlabeled(name: str) -> None:
    window = {"window": {"width": 5, "height": 4}} if name == "sliding_window" else {}
    sure, _ = run({"name": name, **window}, min_score_threshold=0.79)
    assert len(sure) == 4
    unsure, _ = run({"name": name, **window}, min_score_threshold=0.81)
    assert unsure == [CAR, TREE]


def test_models_of_boxes_give_nothing_here() -> None:
    mode = {"name": "sliding_window_det", "window": {"width": 8, "height": 6}, "save": True}
    objects, _ = run({**mode, "nms_after": {"enable": True}})
    assert titles(objects) == ["Car", "Tree", "sliding_window"]


def test_renaming_selects_and_appends() -> None:
    renamer = {"save_classes": ["a"], "save_names": ["b", "tram"], "add_suffix": "?"}
    objects, meta = run({"name": "full_image", "model_classes": renamer})
    assert titles(objects) == ["Car", "Tree", "b?"], "save_names wins over save_classes"
    assert len(meta["classes"]) == 3
    objects, _ = run({"name": "roi", "model_classes": {"save_classes": []}})
    assert titles(objects) == ["Car", "Tree"]


def test_existing_objects_can_be_replaced() -> None:
    objects, meta = run({"name": "full_image", "existing_objects": "replace"})
    assert titles(objects) == ["a_icnet", "b_icnet"]
    assert titles(run({"name": "bboxes", "existing_objects": "replace"})[0]) == ["a", "b"]
    assert meta["classes"][:2] == META["classes"]


@pytest.mark.parametrize(("threshold", "is_added"), [(0.8, False), (0.9, True)])
def test_merging_leaves_out_what_is_there_already(threshold: float, is_added: bool) -> None:
    # The model's class is called like an existing one and covers 10 of its 12 pixels.
    scores = np.zeros((2, *SIZE), np.float32)
    scores[1, 1:, 6:] = 1
    scores[0] = 1 - scores[1]
    annotation = {"size": {"height": 6, "width": 8}, "tags": [], "objects": [TREE]}
    mode = {
        "name": "full_image",
        "existing_objects": "merge",
        "existing_objects_iou": threshold,
    }
    got = annotate_image(
        make_image(),
        annotation,
        META,
        mode=mode,
        classes=[("Tree", "#000000")],
        predict=lambda _: scores,
    )
    assert (len(got.annotation["objects"]) == 2) == is_added


def test_smaller_score_maps_are_brought_to_the_crop() -> None:
    def half(rgb_HW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        return by_color(rgb_HW3)[:, ::2, ::2]

    objects, _ = run({"name": "full_image"}, predict=half)
    assert (mask_of(objects[2], SIZE) == LEFT_HALF).all()


def test_logits_and_probabilities_give_the_same() -> None:
    logits = run({"name": "full_image"}, predict=lambda rgb: np.log(by_color(rgb)))
    assert logits == run({"name": "full_image"})


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ({"name": "roi", "bounds": {"left": "4px", "right": "4px"}}, "nothing is left of .* 8x6"),
        ({"name": "sliding_window", "window": {"width": 9, "height": 2}}, "9x2 is larger .* 8x6"),
    ],
)
def test_an_image_too_small_for_the_mode_is_refused(mode: dict[str, Any], words: str) -> None:
    with pytest.raises(MisfitError, match=words):
        run(mode)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (
            {"name": "roi", "save": True, "class_name": "Car"},
            "mode.class_name: .*two classes 'Car'",
        ),
        ({"name": "bboxes", "save": True, "add_suffix": ""}, "mode.add_suffix: .*'Car'"),
        ({"name": "roi", "bounds": {"left": "-1px", "top": "2"}, "save": 1}, "left.*top.*save"),
        ({"name": "video"}, "got 'video', allowed are full_image"),
        ({}, "mode.name: got None"),
    ],
)
def test_modes_that_cannot_be_had_are_refused(mode: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run(mode)


def test_a_model_that_gives_other_channels_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"got an array \(2, 6, 8\), needed is \(3, h, w\)"):
        run({"name": "full_image"}, predict=lambda rgb: by_color(rgb)[:2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": {"height": 8, "width": 6}}, "is 8x6, its annotation is for 6x8"),
        ({"objects": [{**CAR, "classTitle": "Bus"}]}, "object 0: meta.json has no class 'Bus'"),
        ({"objects": [{**CAR, "points": {}}]}, "object 0 .'Car'.: 'points'"),
        ({"objects": None}, "the annotation: Expected `array`"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(change: dict[str, Any], words: str) -> None:
    annotation = {"size": {"height": 6, "width": 8}, "tags": [], "objects": [CAR], **change}
    with pytest.raises(SampleError, match=words):
        annotate_image(
            make_image(),
            annotation,
            META,
            mode={"name": "bboxes"},
            classes=[("a", "#000000"), ("b", "#000001")],
            predict=by_color,
        )
