"""Recognizing the layout of a data set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from icstream.model import CAMVID, ConfigError
from icstream.stages.data import open_data
from support.projects import Project, make_folder, outline, thing

IDS = np.zeros((2, 3), np.uint8)


def project(folder: Path) -> Path:
    made = Project(folder, {"a": "rectangle", "b": "any"})
    made.add("x.png", tags=["t"], objects=[thing("a", outline([[0, 0], [7, 5]]))])
    return made.folder


def test_each_layout_is_recognized(tmp_path: Path) -> None:
    sly = open_data(project(tmp_path / "p"), train_tag="t", val_tag="v", neutral="b")
    assert (sly.format, sly.labels.names) == ("supervisely", ("background", "a"))
    assert open_data(make_folder(tmp_path / "f", {"val": {"a": IDS}})).format == "folder"
    image = tmp_path / "c" / "leftImg8bit" / "train" / "ulm" / "ulm_1_leftImg8bit.png"
    image.parent.mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(image)
    assert open_data(tmp_path / "c").format == "cityscapes"


def test_what_is_not_recognized_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"meta\.json.*images/ and labels/.*leftImg8bit/"):
        open_data(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        open_data(tmp_path / "nowhere")


def test_a_folder_that_may_be_two_things_needs_the_format(tmp_path: Path) -> None:
    folder = make_folder(project(tmp_path / "p"), {"train": {"a": IDS}})
    with pytest.raises(ConfigError, match="supervisely or folder"):
        open_data(folder)
    assert open_data(folder, format="folder").labels is CAMVID
    with pytest.raises(ConfigError, match="leftImg8bit"):
        open_data(folder, format="cityscapes")


def test_ids_that_are_given_must_be_those_of_a_layout_with_ids_of_its_own(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", {"train": {"a": IDS}})
    ids = {name: k for k, name in enumerate(CAMVID.names)}
    assert open_data(folder, class_ids=ids).labels is CAMVID
    with pytest.raises(ConfigError, match="its classes are"):
        open_data(folder, class_ids={**ids, "Sky": 1, "Building": 0})
    numbered = open_data(project(tmp_path / "p"), train_tag="t", class_ids={"a": 2, "b": 1})
    assert numbered.labels.names == ("background", "b", "a")
