"""Recordings with several videos: ffmpeg's choice is ours, and what is left out is said."""

import os
import subprocess
from pathlib import Path

import pytest

from icstream.model import ConfigError, SourceError
from icstream.stages import Frame, FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.decode.tracks import select_tracks
from support.clips import make_clip, require_program
from support.recordings import Video, make_tracks, read


def sizes_of(argument: str) -> list[tuple[int, int]]:
    (spec,) = find_sources([argument])
    with open_source(spec, accounting=FrameAccounting()) as source:
        return [item.meta.size for item in source if isinstance(item, Frame)]


SMALL, LARGE = (64, 96), (96, 128)


@pytest.mark.parametrize(
    "videos",
    [
        (Video(SMALL), Video(LARGE)),
        (Video(LARGE), Video(SMALL)),
        (Video(SMALL, is_default=True), Video(LARGE)),
        (Video(SMALL), Video(SMALL, 9, is_default=True)),
    ],
    ids=["preview first", "preview last", "default is small", "default is second"],
)
def test_the_track_that_ffmpeg_takes_is_read(tmp_path: Path, videos: tuple[Video, ...]) -> None:
    path, reference = make_tracks(tmp_path / "a.mkv", *videos), tmp_path / "taken.mkv"
    command = [require_program("ffmpeg"), "-v", "error", "-i", str(path), "-c", "copy"]
    command.append(str(reference))
    subprocess.run(command, check=True, timeout=60)
    assert sizes_of(str(path)) == sizes_of(str(reference))
    _, accounting, info, _ = read(path)
    assert accounting.complete
    assert "of its 2 video tracks" in info.notes[0]


def test_a_number_behind_the_name_chooses_a_track(tmp_path: Path) -> None:
    path = make_tracks(tmp_path / "a.ts", Video(LARGE, 6), Video(SMALL, 9))
    assert sizes_of(f"{path}#1") == [SMALL] * 9
    assert sizes_of(f"{path}#0") == [LARGE] * 6
    (spec,) = find_sources([f"{path}#1"])
    assert (spec.name, spec.track) == ("a.track1", 1)
    with pytest.raises(SourceError, match="there is no video track 2; the last is track 1"):
        sizes_of(f"{path}#2")


def test_a_file_of_that_full_name_comes_first(tmp_path: Path) -> None:
    make_tracks(tmp_path / "a.ts", Video(LARGE), Video(SMALL))
    path = make_clip(tmp_path / "a.ts#1", size=(48, 64), container="mpegts")
    assert set(sizes_of(str(path))) == {(48, 64)}


def test_all_makes_a_stream_of_each_track(tmp_path: Path) -> None:
    path = make_tracks(tmp_path / "a.ts", Video(LARGE), Video(LARGE))
    (spec,) = find_sources([str(path)])
    assert [found.name for found in select_tracks(spec, "all")] == ["a.track0", "a.track1"]
    (single,) = find_sources([str(make_clip(tmp_path / "b.mp4"))])
    assert select_tracks(single, "all") == [single]


def test_a_transport_stream_whose_pids_change_is_one_track(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.ts", pts=tuple(range(400)))
    second = make_clip(tmp_path / "b.ts", pts=tuple(range(400, 800)))
    moved = tmp_path / "moved.ts"
    command = [require_program("ffmpeg"), "-v", "error", "-i", str(second), "-c", "copy", "-copyts"]
    command += ["-muxdelay", "0", "-mpegts_start_pid", "0x200", str(moved)]
    subprocess.run(command, check=True, timeout=60)
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + moved.read_bytes())
    num_frames, accounting, info, _ = read(path)
    assert (num_frames, accounting.complete, info.notes) == (800, True, ())


def test_a_file_url_is_a_file(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a b.mp4")
    (spec,) = find_sources([path.as_uri()])
    assert (spec.paths, spec.track) == ((path,), None)
    (spec,) = find_sources([f"{path.as_uri()}#0"])
    assert (spec.paths, spec.track) == ((path,), 0)
    with pytest.raises(ConfigError, match="no such file or folder"):
        find_sources([f"{path.as_uri()}.mp4"])
    with pytest.raises(ConfigError, match="only files of this machine"):
        find_sources(["file://elsewhere/a.mp4"])


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="a pipe, which cannot be read again"):
        find_sources([str(tmp_path / "pipe")])
