"""Label sets; spot checks against cityscapesScripts' and CamVid's published colors."""

import pytest

from icstream.model import CAMVID, CITYSCAPES, ConfigError, LabelSet


def test_cityscapes_has_its_train_ids_and_colors() -> None:
    assert len(CITYSCAPES) == 19
    known = {0: ("road", (128, 64, 128)), 10: ("sky", (70, 130, 180)), 13: ("car", (0, 0, 142))}
    known |= {18: ("bicycle", (119, 11, 32)), 5: ("pole", (153, 153, 153))}
    for index, (name, color) in known.items():
        assert (CITYSCAPES.names[index], CITYSCAPES.colors[index]) == (name, color)


def test_camvid_has_the_usual_eleven_in_their_order() -> None:
    order = "Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist"
    assert list(CAMVID.names) == order.split()


def test_the_palette_is_black_beyond_the_classes() -> None:
    palette = CAMVID.palette()
    assert palette.shape == (256, 3)
    assert palette[3].tolist() == [128, 64, 128]
    assert not palette[11:].any()


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ([("a", (0, 0, 0))], "2 to 255 classes, got 1"),
        ([(str(i), (0, 0, 0)) for i in range(256)], "got 256"),
        ([("a", (0, 0, 0)), ("a", (1, 1, 1))], "unique, got a twice"),
        ([("a", (0, 0, 0)), ("", (1, 1, 1))], "must not be empty"),
        ([("a", (0, 0, 256)), ("b", (1, 1, 1))], "color of 'a'"),
        ([("a", (0, 0)), ("b", (1, 1, 1))], "color of 'a'"),
    ],
)
def test_errors_of_label_sets_name_the_fault(
    classes: list[tuple[str, tuple[int, ...]]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        LabelSet.from_values(classes)
