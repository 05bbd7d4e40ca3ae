"""The output folder: never written over unasked, and never emptied of what is not ours."""

import os
from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.pipeline.output import begin_manifest, prepare_output


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    prepare_output(tmp_path / "a" / "b", ["clip"], overwrite=False)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        prepare_output(tmp_path, ["clip"], overwrite=False)


def test_overwrite_removes_results_and_leaves_the_rest(tmp_path: Path) -> None:
    for name in ("clip/masks.mp4", "clip/masks.0001.mp4", "clip/masks/0.png", "report.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    for name in ("notes.txt", "clip/mine.mp4", "other.mp4"):
        (tmp_path / name).write_text("mine")
    prepare_output(tmp_path, ["clip"], overwrite=True)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["clip/mine.mp4", "notes.txt", "other.mp4"]


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="a folder is needed"):
        prepare_output(tmp_path / "out", ["clip"], overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        prepare_output(tmp_path / "out", ["clip"], overwrite=False)


def test_a_folder_that_cannot_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        prepare_output(tmp_path / "file" / "out", ["clip"], overwrite=False)


def test_a_run_is_resumed_with_what_its_manifest_holds(tmp_path: Path) -> None:
    values = {"fit": {"size": (64, 96)}, "loop": 1}
    begin_manifest(tmp_path, values, resume=False)
    begin_manifest(tmp_path, values, resume=True)
    with pytest.raises(ConfigError, match="had other fit"):
        begin_manifest(tmp_path, {**values, "fit": {"size": (96, 64)}}, resume=True)
