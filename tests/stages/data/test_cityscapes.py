"""The layout of Cityscapes, on small files."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from icstream.model import CITYSCAPES, ConfigError
from icstream.stages.data import VOID, SampleError, open_cityscapes

# Label ids and train ids as the table of cityscapesScripts (labels.py) lists them.
TRAIN_IDS = {
    "road": (7, 0), "sidewalk": (8, 1), "building": (11, 2), "wall": (12, 3), "fence": (13, 4),
    "pole": (17, 5), "traffic light": (19, 6), "traffic sign": (20, 7), "vegetation": (21, 8),
    "terrain": (22, 9), "sky": (23, 10), "person": (24, 11), "rider": (25, 12), "car": (26, 13),
    "truck": (27, 14), "bus": (28, 15), "train": (31, 16), "motorcycle": (32, 17),
    "bicycle": (33, 18),
}  # fmt: skip


def add(folder: Path, split: str, name: str, **labels: NDArray[np.uint8]) -> None:
    city = name.partition("_")[0]
    for kind, ids in {"image": np.zeros((2, 17), np.uint8), **labels}.items():
        part = "leftImg8bit" if kind == "image" else "gtFine"
        end = "leftImg8bit" if kind == "image" else f"gtFine_{kind}"
        path = folder / part / split / city / f"{name}_{end}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(ids)
        (image.convert("RGB") if kind == "image" else image).save(path)


def test_label_ids_become_train_ids_and_all_others_void(tmp_path: Path) -> None:
    add(tmp_path, "train", "ulm_0_1", labelIds=np.arange(34, dtype=np.uint8).reshape(2, 17))
    (sample,) = open_cityscapes(tmp_path).split("train")
    expected = np.full(34, VOID)
    for name, (label_id, train_id) in TRAIN_IDS.items():
        expected[label_id] = train_id
        assert CITYSCAPES.names[train_id] == name
    assert (sample.load().ids_HW.ravel() == expected).all()


def test_train_ids_are_preferred(tmp_path: Path) -> None:
    train_ids = np.arange(34, dtype=np.uint8).reshape(2, 17) % 19
    train_ids[0, 0] = 255
    add(tmp_path, "val", "ulm_0_1", labelIds=train_ids * 0, labelTrainIds=train_ids)
    (sample,) = open_cityscapes(tmp_path).split("val")
    assert (sample.load().ids_HW == train_ids).all()


def test_images_are_listed_by_split_and_city(tmp_path: Path) -> None:
    ids = np.zeros((2, 17), np.uint8)
    for split, name in [("train", "ulm_1"), ("train", "bonn_2"), ("test", "jena_3")]:
        add(tmp_path, split, name, labelIds=ids)
    data = open_cityscapes(tmp_path)
    assert data.labels is CITYSCAPES
    assert {split: [s.name for s in samples] for split, samples in data.splits.items()} == {
        "train": ["train/bonn/bonn_2", "train/ulm/ulm_1"],
        "val": [],
        "test": ["test/jena/jena_3"],
    }


def test_faults_are_named(tmp_path: Path) -> None:
    add(tmp_path, "train", "ulm_1", labelTrainIds=np.full((2, 17), 19, np.uint8))
    add(tmp_path, "train", "ulm_2", labelIds=np.full((2, 17), 34, np.uint8))
    add(tmp_path, "train", "ulm_3")
    messages = [
        "TrainIds.png: id 19 belongs",
        "labelIds.png: id 34 belongs",
        "labelIds.png: missing",
    ]
    for sample, message in zip(open_cityscapes(tmp_path).split("train"), messages, strict=True):
        with pytest.raises(SampleError, match=message):
            sample.load()


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leftImg8bit"):
        open_cityscapes(tmp_path)
