"""Recordings that are cut off between two frames, where FFmpeg sees nothing unusual."""

import subprocess
from pathlib import Path

import av
import pytest

from icstream.model import SourceError
from support.clips import make_clip, require_program
from support.recordings import read

TIMES = tuple(range(100))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "why"),
    [
        ("clip.gif", "gif", "rgb8", "it ends before the end that a trailer marks"),
        ("clip.ogv", "libvpx", "yuv420p", "it ends before the end that a last page marks"),
        ("clip.wmv", "wmv2", "yuv420p", "it ends before the end that its header states"),
        ("clip.swf", "flv", "yuv420p", "it ends before the end that its header states"),
        ("clip.mxf", "mpeg2video", "yuv420p", "s that its header states"),
        ("clip.y4m", "rawvideo", "yuv420p", "it ends inside a frame"),
    ],
)
def test_a_file_cut_off_between_frames_is_not_complete(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, why: str
) -> None:
    path = make_clip(tmp_path / name, pts=TIMES, codec=codec, pix_fmt=pix_fmt)
    num_frames, accounting, _, _ = read(path)
    assert (num_frames, accounting.complete) == (100, True)
    _cut_before_packet(path, 60)
    num_frames, accounting, _, _ = read(path)
    assert 0 < num_frames < 100
    assert not accounting.complete
    assert why in (accounting.cut_short or "")


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("clip.mkv", "libx264", "yuv420p"),
        ("clip.webm", "libvpx", "yuv420p"),
        ("clip.mxf", "mpeg2video", "yuv420p"),
    ],
)
def test_the_last_frames_are_missed_too(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    path = make_clip(tmp_path / name, pts=TIMES, codec=codec, pix_fmt=pix_fmt)
    _cut_before_packet(path, 95)  # 0.2 s
    num_frames, accounting, _, _ = read(path)
    assert 90 <= num_frames <= 95
    assert "it ends before the end that its" in (accounting.cut_short or "")


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("clip.ts", "libx264", "yuv420p"),
        ("clip.m2ts", "libx264", "yuv420p"),
        ("clip.mjpeg", "mjpeg", "yuvj420p"),
    ],
)
def test_part_of_the_last_packet_or_image_is_no_end(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    path = make_clip(tmp_path / name, codec=codec, pix_fmt=pix_fmt)
    assert read(path)[1].complete
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) * 9 // 10 // 188 * 188 + 5):
        path.write_bytes(whole[:length])
        assert "it ends before the end that" in (read(path)[1].cut_short or "")


def test_a_streamed_matroska_file_may_end_after_any_cluster(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, pts=TIMES)
    streamed = tmp_path / "streamed.mkv"
    # Into a pipe, in which lengths cannot be filled in later.
    command = [require_program("ffmpeg"), "-v", "error", "-i", str(path), "-c", "copy"]
    done = subprocess.run([*command, "-f", "matroska", "-"], capture_output=True, check=True)
    streamed.write_bytes(done.stdout)
    assert read(streamed)[1].complete
    streamed.write_bytes(streamed.read_bytes()[:-50])
    assert read(streamed)[1].cut_short == "it ends before the end that its last element states"


def test_the_last_fragment_must_be_whole(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pts=range(5, 105), gop=10)
    assert read(path)[1].complete
    _cut_before_packet(path, 65)
    num_frames, accounting, _, _ = read(path)
    assert 0 < num_frames < 100
    assert accounting.cut_short == "it ends before the end that its last fragment states"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov"])
def test_a_missing_index_is_named(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / name)  # with the index at its end, as cameras write it
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(SourceError, match=r"its index, moov, is missing: it was not finished"):
        read(path)
    path.write_bytes(path.read_bytes()[:4] + b"nope" + path.read_bytes()[8:])
    with pytest.raises(SourceError, match="Invalid data"):
        read(path)


def test_what_is_left_of_a_last_dv_frame_is_not_complete(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.dv", pts=range(3), size=(576, 720), codec="dvvideo")
    assert read(path)[1].complete
    path.write_bytes(path.read_bytes()[:-1000])
    assert read(path)[1].cut_short == "it ends inside a frame"


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("clip.gif", "gif", "rgb8"),
        ("clip.mp4", "libx264", "yuv420p"),
        ("clip.mkv", "libx264", "yuv420p"),
        ("clip.mxf", "mpeg2video", "yuv420p"),
        ("clip.ts", "libx264", "yuv420p"),
        ("clip.m2ts", "libx264", "yuv420p"),
        ("clip.mjpeg", "mjpeg", "yuvj420p"),
    ],
)
def test_bytes_behind_the_end_cost_nothing(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    path = make_clip(tmp_path / name, codec=codec, pix_fmt=pix_fmt)
    path.write_bytes(path.read_bytes() + b"of somebody else" * 100)
    assert read(path)[1].complete


def _cut_before_packet(path: Path, number: int) -> None:
    with av.open(path) as file:
        places = [packet.pos for packet in file.demux(video=0) if packet.size]
    place = sorted(place for place in places if place)[number]
    path.write_bytes(path.read_bytes()[:place])
