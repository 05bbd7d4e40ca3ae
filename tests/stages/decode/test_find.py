"""What file names, folders and patterns stand for."""

from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.stages.decode.find import find_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("img10.png", "img2.jpg", "IMG1.PNG", "b.mp4", "a.MKV", "notes.txt"):
        (tmp_path / "drive" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "drive" / name).write_bytes(b"x")
    return tmp_path / "drive"


def test_a_folder_is_a_stream_per_video_and_one_of_its_images(folder: Path) -> None:
    specs = find_sources([str(folder)])
    assert [(spec.name, spec.kind) for spec in specs] == [
        ("a", "video"),
        ("b", "video"),
        ("drive", "images"),
    ]
    assert [path.name for path in specs[2].paths] == ["IMG1.PNG", "img2.jpg", "img10.png"]


def test_a_pattern_of_images_is_one_stream(folder: Path) -> None:
    (spec,) = find_sources([str(folder / "img*")])
    assert (spec.name, [path.name for path in spec.paths]) == ("drive", ["img2.jpg", "img10.png"])


def test_a_single_image_is_a_stream(folder: Path) -> None:
    (spec,) = find_sources([str(folder / "img2.jpg")])
    assert (spec.name, spec.kind) == ("img2", "images")


def test_clashing_names_are_numbered(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "B.avi").write_bytes(b"x")
    specs = find_sources([str(folder / "b.mp4"), str(tmp_path / "B.avi"), str(folder / "b.mp4")])
    assert [spec.name for spec in specs] == ["b", "B-2", "b-3"]


def test_names_are_safe_for_folders(tmp_path: Path) -> None:
    (tmp_path / "a:b*?.mp4").write_bytes(b"x")
    (tmp_path / "...mp4").write_bytes(b"x")
    names = [spec.name for spec in find_sources([str(tmp_path)])]
    assert all(name and not set(name) & set('/\\:*?"<>|') for name in names)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("nothing.mp4", "no such file or folder"),
        ("*.nothing", "matches no file"),
    ],
)
def test_what_stands_for_nothing_is_named(argument: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_sources([argument])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"holds no video or image; known are .*\.mp4"):
        find_sources([str(tmp_path)])


def test_no_source_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="no source given"):
        find_sources([])
