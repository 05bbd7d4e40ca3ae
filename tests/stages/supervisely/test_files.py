"""Where the files of projects lie."""

from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.stages.supervisely.files import (
    annotation_path,
    find_datasets,
    find_video_datasets,
    image_path,
    link_or_copy,
    pair_images,
    read_meta,
    remove_dataset,
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


def test_datasets_of_videos_may_lie_in_one_another(tmp_path: Path) -> None:
    inner = tmp_path / "day" / "datasets" / "rain"
    deep = inner / "datasets" / "night"
    touch(*(video_path(folder, "1.mp4") for folder in (deep, inner, tmp_path / "day")))
    assert find_video_datasets(tmp_path) == [tmp_path / "day", inner, deep]


def test_links_between_datasets_may_lead_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = tmp_path / "project" / "ds"
    touch(image_path(dataset, "1.png"), annotation_path(dataset, "1.png"))
    (dataset / "datasets").mkdir()
    for name in ("a", "b"):
        (dataset / "datasets" / name).symlink_to("../../ds")
    elsewhere = tmp_path / "elsewhere"
    touch(image_path(elsewhere, "1.png"), annotation_path(elsewhere, "1.png"))
    (tmp_path / "project" / "linked").symlink_to(elsewhere)
    found = dict(find_datasets(tmp_path / "project"))
    assert found == {"ds": dataset, "linked": tmp_path / "project" / "linked"}
    assert caplog.text.count("left out; it is the same folder as another one") == 2


def test_a_file_outside_of_a_project_is_copied_and_not_linked(tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside.png"
    touch(project / "own.png", outside)
    (project / "link.png").symlink_to(outside)
    (project / "alias.png").symlink_to("own.png")
    for name, is_linked in (("own.png", True), ("alias.png", True), ("link.png", False)):
        target = tmp_path / f"new_{name}"
        link_or_copy(project / name, target, inside=project)
        assert not target.is_symlink()
        assert target.samefile(project / name) == is_linked


def test_of_a_dataset_only_annotations_and_what_they_are_of_is_removed(tmp_path: Path) -> None:
    dataset, outside = tmp_path / "ds", tmp_path / "outside"
    inner = dataset / "datasets" / "inner"
    for folder in (dataset, inner):
        touch(image_path(folder, "1.png"), annotation_path(folder, "1.png"))
    touch(video_path(inner, "2.mp4"), annotation_path(inner, "2.mp4").with_suffix(".json.partial"))
    touch(image_path(outside, "3.png"), annotation_path(outside, "3.png"))
    (dataset / "datasets" / "linked").symlink_to(outside)
    mine = image_path(dataset, "mine.png")
    touch(mine)
    remove_dataset(dataset)
    assert image_path(outside, "3.png").exists()
    left = {path.relative_to(dataset) for path in dataset.rglob("*") if path.is_file()}
    assert left == {mine.relative_to(dataset)}
    mine.unlink()
    (dataset / "datasets" / "linked").unlink()
    remove_dataset(dataset)
    assert not dataset.exists()
