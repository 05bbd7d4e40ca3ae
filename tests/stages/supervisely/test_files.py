"""Where the files of projects lie."""

from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.stages.supervisely.files import (
    annotation_path,
    find_datasets,
    find_video_datasets,
    image_path,
    pair_images,
    read_meta,
    video_path,
    write_values,
)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_datasets_in_datasets_follow_their_parent(tmp_path: Path) -> None:
    inner = tmp_path / "b" / "datasets" / "c"
    for dataset in (tmp_path / "b", inner, tmp_path / "a"):
        touch(image_path(dataset, "1.png"), annotation_path(dataset, "1.png"))
    found = list(find_datasets(tmp_path))
    assert found == [("a", tmp_path / "a"), ("b", tmp_path / "b"), ("b/c", inner)]


def test_images_and_annotations_are_paired_by_name_and_by_stem(tmp_path: Path) -> None:
    touch(*(image_path(tmp_path, name) for name in ("1.png", "2.JPG", "3.png", "3.jpg", "4.mpo")))
    touch(annotation_path(tmp_path, "1.png"), *(tmp_path / "ann" / f"{k}.json" for k in "235"))
    pairs = {image.name: annotation for image, annotation in pair_images(tmp_path)}
    assert pairs == {
        "1.png": tmp_path / "ann" / "1.png.json",
        "2.JPG": tmp_path / "ann" / "2.json",
        "3.jpg": None,
        "3.png": None,
        "4.mpo": None,
        "3": tmp_path / "ann" / "3.json",
        "5": tmp_path / "ann" / "5.json",
    }


def test_datasets_of_videos_have_a_folder_of_videos(tmp_path: Path) -> None:
    touch(video_path(tmp_path / "b", "1.mp4"), video_path(tmp_path / "a", "1.mp4"))
    touch(image_path(tmp_path / "c", "1.png"))
    assert find_video_datasets(tmp_path) == [tmp_path / "a", tmp_path / "b"]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    values = {"classes": [], "projectType": "videos", "name": "Straße"}
    write_values(tmp_path / "meta.json", values)
    assert read_meta(tmp_path) == values
    with pytest.raises(ConfigError, match=r"meta\.json: missing"):
        read_meta(tmp_path / "elsewhere")
