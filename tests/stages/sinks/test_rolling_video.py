"""Rolling recordings: what is in which file, which are kept, and what an interruption leaves."""

import json
import os
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from icstream.model import CAMVID
from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.sinks import RollingSettings, RollingVideo
from support.clips import moving_image


def frame(
    index: int, *, pts: int | None = None, size: tuple[int, int] = (64, 96)
) -> SegmentedFrame:
    meta = FrameMeta("s", index, index if pts is None else pts, Fraction(1, 10), size)
    coarse = np.random.default_rng(index).integers(0, 11, (size[0] // 8, size[1] // 8), np.uint8)
    ids = np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1))
    return SegmentedFrame(meta, ids, moving_image(index, size))


def record(folder: Path, settings: RollingSettings, frames: list[SegmentedFrame]) -> RollingVideo:
    sink = RollingVideo(folder, CAMVID, settings)
    for item in frames:
        sink.write(item)
    sink.close()
    return sink


def files(folder: Path, kind: str = "masks") -> dict[str, list[int]]:
    """Return the times in each file, in tenths of a second."""
    found = {}
    for path in sorted((folder / "rolling").glob(f"{kind}.*.mp4")):
        with av.open(path) as file:
            found[path.name] = [
                int(10 * f.pts * f.time_base)
                for f in file.decode(video=0)
                if f.pts is not None and f.time_base is not None
            ]
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "rolling").iterdir() if "over" not in p.name}


FRAMES = [frame(index) for index in range(35)]


def test_files_begin_at_multiples_of_their_length(tmp_path: Path) -> None:
    sink = record(tmp_path, RollingSettings(file_s=1), [frame(i, pts=i + 7) for i in range(20)])
    wanted = {
        "masks.000000000.mp4": [7, 8, 9],
        "masks.000000003.mp4": list(range(10, 20)),
        "masks.000000013.mp4": list(range(20, 27)),
    }
    assert files(tmp_path) == wanted
    assert list(files(tmp_path, "overlay").values()) == list(wanted.values())
    lines = (tmp_path / "rolling" / "segments.jsonl").read_text().splitlines()
    assert [(e["file"], e["pts"]) for e in map(json.loads, lines)] == [
        (name, times[0]) for name, times in wanted.items()
    ]
    parts = {part.path: (part.first_index, part.num_frames) for part in sink.parts}
    assert parts["rolling/masks.000000003.mp4"] == (3, 10)
    assert parts["rolling/overlay.000000013.mp4"] == (13, 7)


def test_masks_read_back_are_those_that_went_in(tmp_path: Path) -> None:
    record(tmp_path, RollingSettings(file_s=1, overlay=False), FRAMES)
    ids: list[NDArray[np.uint8]] = []
    for path in sorted((tmp_path / "rolling").glob("*.mp4")):
        with av.open(path) as file:
            ids += [np.asarray(f.to_ndarray(format="gray"), np.uint8) for f in file.decode(video=0)]
    wanted = [f.class_ids for f in FRAMES]
    assert len(ids) == 35
    assert all(map(np.array_equal, ids, wanted))


def test_a_file_ends_when_it_is_large_or_the_format_changes(tmp_path: Path) -> None:
    small = RollingSettings(file_s=None, file_bytes=5000, overlay=False)
    record(tmp_path / "large", small, FRAMES)
    sizes = [p.stat().st_size for p in sorted((tmp_path / "large" / "rolling").glob("*.mp4"))]
    assert len(sizes) > 2
    assert max(sizes) < 7_000
    sink = RollingVideo(tmp_path / "change", CAMVID, RollingSettings(file_s=None))
    sink.write(frame(0))
    sink.begin_part()
    sink.write(frame(1, size=(48, 64)))
    sink.close()
    assert [part.size for part in sink.parts if "masks" in part.path] == [(64, 96), (48, 64)]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (RollingSettings(file_s=0.5, keep_files=2), [30, 25]),
        (RollingSettings(file_s=0.5, keep_s=0.9), [30, 25, 20]),
        (RollingSettings(file_s=0.5, keep_bytes=1), [30]),
        (RollingSettings(file_s=0.5), [30, 25, 20, 15, 10, 5, 0]),
    ],
)
def test_the_oldest_files_go_first(
    tmp_path: Path, settings: RollingSettings, kept: list[int]
) -> None:
    sink = record(tmp_path, settings, FRAMES)
    wanted = [f"masks.{start:09}.mp4" for start in sorted(kept)]
    assert list(files(tmp_path)) == wanted
    assert [p.path for p in sink.parts if "masks" in p.path] == [f"rolling/{n}" for n in wanted]
    assert len(files(tmp_path, "overlay")) == len(kept)


def go_on(folder: Path, frames: list[SegmentedFrame], *, num_done: int, parts: set[int]) -> None:
    """Write frames behind those that are there, with a new part at some of them."""
    sink = RollingVideo(folder, CAMVID, RollingSettings(file_s=50, keep_s=140))
    if num_done:
        sink.skip(frames[0].meta, num_done)
    for index, item in enumerate(frames[num_done:], num_done):
        if index in parts:
            sink.begin_part()
        sink.write(item)
    sink.close()


@pytest.mark.parametrize("jump_s", [37_600, -37_600])
@pytest.mark.parametrize("num_done", [0, 3, 17, 22])
def test_nothing_is_removed_for_a_jump_of_time(tmp_path: Path, jump_s: int, num_done: int) -> None:
    times_s = [10_000_000 + 10 * i + (0 if i < 17 else jump_s) for i in range(35)]
    frames = [frame(i, pts=10 * time_s) for i, time_s in enumerate(times_s)]
    parts = {17} if jump_s < 0 else set()  # as Encode begins them
    if num_done:
        go_on(tmp_path, frames[:num_done], num_done=0, parts=parts)
    go_on(tmp_path, frames, num_done=num_done, parts=parts)
    # 340 s were recorded, in files of 50 s; those of the last 140 s, 10 s of which the jump hides.
    assert list(files(tmp_path)) == [f"masks.{n:09}.mp4" for n in (10, 15, 17, 20, 25, 30)]


def test_after_an_outage_two_clocks_together_remove_what_is_old(tmp_path: Path) -> None:
    settings = RollingSettings(file_s=0.5, keep_s=60)
    sink = RollingVideo(tmp_path, CAMVID, settings)
    for index in range(12):
        sink.write(frame(index))
    old = time.time() - 7200
    for path in (tmp_path / "rolling").glob("*.000000000.mp4"):
        os.utime(path, (old, old))
    sink.write(frame(12, pts=12 + 72_000))
    sink.write(frame(13, pts=13 + 72_000))
    sink.close()
    assert list(files(tmp_path)) == [f"masks.{n:09}.mp4" for n in (5, 10, 12)]


def test_a_late_frame_begins_no_file(tmp_path: Path) -> None:
    pts = (0, 4, 5, 4, 6, 9, 11)
    record(tmp_path, RollingSettings(file_s=0.5), [frame(i, pts=p) for i, p in enumerate(pts)])
    assert files(tmp_path) == {
        "masks.000000000.mp4": [0, 4],
        "masks.000000002.mp4": [5, 6, 7, 9],
        "masks.000000006.mp4": [11],
    }


def test_each_file_is_playable_while_it_is_written(tmp_path: Path) -> None:
    sink = RollingVideo(tmp_path, CAMVID, RollingSettings(file_s=1))
    for item in FRAMES[:25]:
        sink.write(item)
    found = files(tmp_path)
    assert found["masks.000000000.mp4"] == list(range(10))
    assert found["masks.000000020.mp4"] == list(range(20, 24))  # one is held back
    assert files(tmp_path, "overlay")["overlay.000000020.mp4"] == list(range(20, 24))
    sink.close()


@pytest.mark.parametrize("kept", [1, 4, 5, 9, 10, 11, 24, 30])
@pytest.mark.parametrize(
    "settings", [RollingSettings(file_s=0.5), RollingSettings(file_s=1, keep_files=2)]
)
def test_after_an_interruption_anywhere_the_same_is_written(
    tmp_path: Path, kept: int, settings: RollingSettings
) -> None:
    record(tmp_path / "whole", settings, FRAMES)
    folder = tmp_path / "cut"
    first = RollingVideo(folder, CAMVID, settings)
    for item in FRAMES[: kept + 3]:
        first.write(item)  # and never closed
    again = RollingVideo(folder, CAMVID, settings)
    assert again.restart_point(10**9) == kept + 1  # the last two are not sure
    assert again.restart_point(kept) in (kept, kept - 1)
    again.begin_part()
    again.skip(FRAMES[0].meta, kept)
    for item in FRAMES[kept:]:
        again.write(item)
    again.close()
    assert contents(folder) == contents(tmp_path / "whole")
    assert files(folder, "overlay") == files(tmp_path / "whole", "overlay")
    whole = RollingVideo(tmp_path / "again", CAMVID, settings)
    for item in FRAMES:
        whole.write(item)
    whole.close()
    assert [(p.path, p.num_frames) for p in again.parts] == [
        (p.path, p.num_frames) for p in whole.parts
    ]
    first.close()


def test_a_torn_file_is_cut_back(tmp_path: Path) -> None:
    record(tmp_path / "whole", RollingSettings(file_s=1), FRAMES)
    record(tmp_path / "torn", RollingSettings(file_s=1), FRAMES[:28])
    for name in ("masks.000000020.mp4", "segments.jsonl"):
        path = tmp_path / "torn" / "rolling" / name
        path.write_bytes(path.read_bytes()[:-5])
    sink = RollingVideo(tmp_path / "torn", CAMVID, RollingSettings(file_s=1))
    start = sink.restart_point(10**9)
    sink.skip(FRAMES[0].meta, start)
    for item in FRAMES[start:]:
        sink.write(item)
    sink.close()
    assert contents(tmp_path / "torn") == contents(tmp_path / "whole")
