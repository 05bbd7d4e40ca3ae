"""`icstream data check` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.commands import call, error_line, icstream
from support.projects import Project, make_folder, outline, thing

CHECK = ("data", "check")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project", {"car": "rectangle", "bus": "any", "void": "any"})
    car = thing("car", outline([[0, 0], [3, 5]]))
    void = thing("void", outline([[6, 0], [7, 5]]), "rectangle")
    project.add("a.png", tags=["training"], objects=[car, void])
    project.add("b.png", tags=["val"], objects=[car])
    return project


@pytest.mark.slow
def test_findings_go_to_people_to_json_and_to_a_sheet(project: Project, tmp_path: Path) -> None:
    sheet, file = tmp_path / "sheet.png", tmp_path / "findings.json"
    options = ["--neutral", "void", "--train-tag", "training", "--sheet", sheet]
    done = call(*CHECK, project.folder, *options, "--json", file)
    assert done.returncode == 0, done.stderr
    assert "train: 1 samples, 0 of them corrupted; 8x6 (1); void 25.00 %" in done.stderr
    assert "classes without pixels: bus" in done.stderr
    values = json.loads(file.read_text())
    assert values["format"] == "supervisely"
    assert [entry["name"] for entry in values["classes"]] == ["background", "bus", "car"]
    assert values["classes"][2]["pixels"] == {"train": 24, "val": 24}
    assert values["classes"][2]["share"] == {"train": pytest.approx(24 / 36), "val": 0.5}
    assert values["corrupted"] == []
    with Image.open(sheet) as image:
        assert image.mode == "RGB"
        assert image.width > 800
    assert json.loads(call(*CHECK, project.folder, *options, "--json", "-").stdout) == values


@pytest.mark.slow
def test_corrupted_items_are_named_and_give_code_3(project: Project) -> None:
    _, unreadable = project.add("c.png", tags=["val"])
    unreadable.write_text("{")
    image, _ = project.add("d.png", tags=["val"])
    image.write_bytes(b"")
    cut, _ = project.add("e.png", tags=["val"], size=(90, 90))
    cut.write_bytes(cut.read_bytes()[:100])
    done = icstream(*CHECK, project.folder)
    assert done.returncode == 3
    assert f"corrupted: {unreadable}: not JSON" in done.stderr
    assert f"corrupted: {image}: no image" in done.stderr
    assert "train: no image is tagged 'train'" in done.stderr
    assert f"corrupted: {cut}: the image is " in done.stderr
    assert "Traceback" not in done.stderr
    assert "WARN" not in done.stderr, "OpenCV's own messages are of no use to the user"


def test_the_format_can_be_given(tmp_path: Path) -> None:
    make_folder(tmp_path, {"train": {"a": np.zeros((2, 3), np.uint8)}})
    assert call(*CHECK, tmp_path, "--format", "folder").returncode == 0
    done = call(*CHECK, tmp_path, "--format", "cityscapes")
    assert done.returncode == 2
    assert "leftImg8bit" in error_line(done)


@pytest.mark.parametrize(
    "arguments", [["nowhere"], [".", "--sheet", "x.jpg"], [".", "--format", "x"]]
)
def test_wrong_use_is_one_line_and_code_2(tmp_path: Path, arguments: list[str]) -> None:
    done = call(*CHECK, *[tmp_path / a if a in (".", "nowhere") else a for a in arguments])
    assert done.returncode == 2
    assert error_line(done)
