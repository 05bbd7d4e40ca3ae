"""What file names, folders and patterns stand for."""

import os
from pathlib import Path

import av
import pytest
from PIL import Image

from icstream.model import ConfigError
from icstream.stages import Frame, FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.file_kinds import kind_of
from icstream.stages.decode.find import find_source, find_sources
from support.clips import make_clip


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
        ("", "the name of a source is empty; write . for the current folder"),
    ],
)
def test_what_stands_for_nothing_is_named(argument: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_sources([argument])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"contains no video or image; allowed are .*\.mp4"):
        find_sources([str(tmp_path)])


def test_no_source_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="no source given"):
        find_sources([])


def test_what_is_left_out_of_a_folder_is_named_and_hidden_files_are_left_alone(
    folder: Path,
) -> None:
    for name in ("._b.mp4", ".hidden.png", "GL010001.LRV", "list.m3u8", "a\nb.txt"):
        (folder / name).write_bytes(b"x")
    (folder / "sub.mp4").mkdir()
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "pipe.mp4")
    found = find_source(str(folder))
    assert [spec.name for spec in found.specs] == ["a", "b", "drive"]
    assert found.left_out == {
        "no video or image": ["a\\nb.txt", "notes.txt"],
        "no file": ["dangling.jpg", "pipe.mp4"],
        "a preview of another file": ["GL010001.LRV"],
        "names other files": ["list.m3u8"],
        "folders in folders are not searched": ["sub.mp4"],
    }
    (spec,) = find_source(str(folder / "*.mp4")).specs
    assert spec.name == "b"
    make_clip(folder / "GL010001.LRV", pts=range(3), container="mp4")
    for pattern, name in (("*.LRV", "GL010001"), ("*.m3u8", "list")):
        (spec,) = find_source(str(folder / pattern)).specs
        assert (spec.name, spec.kind) == (name, "video")
    (spec,) = find_source(str(folder / "*b.mp4")).specs
    assert spec.name == "b"


def test_what_can_be_read_by_itself_is_found_in_a_folder(tmp_path: Path) -> None:
    # FFmpeg looks at the content: what it opens as a video under any name is one here.
    for name, container in (
        *(("a.insv", "mp4"), ("b.m2t", "mpegts"), ("c", "matroska"), ("d.DAT", "mpeg")),
        *(("e.bin", "avi"), ("f.x", "flv"), ("g.360", "mov"), ("h.unknown", "mxf")),
    ):
        codec = {"mpeg": "mpeg2video", "mxf": "mpeg2video", "flv": "flv1"}.get(container, "mpeg4")
        make_clip(tmp_path / name, pts=range(3), codec=codec, container=container, gop=1)
    Image.new("RGB", (64, 48)).save(tmp_path / "still", format="PNG")
    Image.new("RGB", (64, 48)).save(tmp_path / "j.gif")
    for path in tmp_path.iterdir():
        with av.open(path) as file:
            assert file.streams.video, path
        assert kind_of(path) == ("images" if path.name == "still" else "video"), path
    assert len(find_sources([str(tmp_path)])) == len(list(tmp_path.iterdir()))
    (tmp_path / "sound.m4a").write_bytes(b"\0\0\0\x18ftypM4A ")
    (tmp_path / "notes").write_bytes(b"BMX is a bicycle")
    assert find_source(str(tmp_path)).left_out == {"no video or image": ["notes", "sound.m4a"]}


@pytest.mark.parametrize(
    "name",
    [
        *("2024-01-01T12:30:45.mp4", "concat:a.mp4", "file:a.mp4", "rtsp:a.mp4", "a[1]*.mp4"),
        *("subfile,,start,1,end,2,,:a.mp4", "caf\udce9.mp4", "x\n\x1b[31m.mp4", 251 * "l" + ".mp4"),
        *("a%03d.mp4", "0", "synthetic:", "1\u00b92.mp4", "-i.mp4"),
    ],
)
def test_a_name_is_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "clip", pts=range(3), container="mp4").rename(name)
    for argument in (name, str(tmp_path)):
        (spec,) = find_sources([argument])
        assert spec.kind == "video"
        spec.name.encode()
        spec.given.encode()
        with open_source(spec, accounting=FrameAccounting()) as source:
            assert sum(isinstance(item, Frame) for item in source) == 3


def test_a_folder_may_have_the_characters_of_patterns_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "drive[1]").mkdir()
    (tmp_path / "drive[1]" / "a.mp4").write_bytes(b"x")
    (spec,) = find_sources([str(tmp_path / "drive[1]" / "*.mp4")])
    assert spec.paths == (tmp_path / "drive[1]" / "a.mp4",)


def test_a_long_address_is_no_name_that_is_too_long() -> None:
    (spec,) = find_sources(["http://host/a?" + 5000 * "x"])
    assert spec.name == "host_a"
    with pytest.raises(ConfigError, match="no such file or folder"):
        find_sources([5000 * "x"])


def test_avif_is_an_image_and_so_are_tiles_whatever_the_suffix(tmp_path: Path) -> None:
    for name in ("a.avif", "b.heic", "c"):
        Image.new("RGB", (64, 64)).save(tmp_path / name, format="AVIF")
    tiled = b"\0\0\0\x18ftypheic\0\0\0\0mif1heicmeta\0\0\0\x15infe\2\0\0\0\0\1\0\0grid\0"
    (tmp_path / "d.heic").write_bytes(tiled)
    (tmp_path / "e.heic").write_bytes(tiled.replace(b"grid", b"hvc1"))  # FFmpeg reads it whole
    video, images = find_sources([str(tmp_path)])
    assert [path.name for path in images.paths] == ["a.avif", "b.heic", "c", "d.heic"]
    assert [path.name for path in video.paths] == ["e.heic"]
