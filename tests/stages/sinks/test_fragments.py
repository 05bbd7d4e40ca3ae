"""Cutting fragmented MP4 files and going on behind the cut."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from icstream.model import CAMVID
from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.sinks import MasksVideo, OverlayVideo
from icstream.stages.sinks.fragments import Fragments, read_fragments


def frame(index: int, size: tuple[int, int] = (64, 96)) -> SegmentedFrame:
    random = np.random.default_rng(index)
    ids = random.integers(0, 11, (size[0] // 8, size[1] // 8), dtype=np.uint8).repeat(8, 0)
    meta = FrameMeta("s", index, 1000 + 3000 * index, Fraction(1, 90000), size)
    image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    return SegmentedFrame(meta, np.ascontiguousarray(ids.repeat(8, 1)), image)


def write_masks(folder: Path, frames: list[SegmentedFrame], *, num_done: int = 0) -> MasksVideo:
    sink = MasksVideo(folder)
    for index, item in enumerate(frames):
        if index and item.meta.size != frames[index - 1].meta.size:
            sink.begin_part()
        sink.skip(item.meta, 1) if index < num_done else sink.write(item)
    sink.close()
    return sink


def test_each_frame_is_a_fragment(tmp_path: Path) -> None:
    write_masks(tmp_path, [frame(i) for i in range(7)])
    assert read_fragments(tmp_path / "masks.mp4").samples == [1] * 7
    overlay = OverlayVideo(tmp_path, CAMVID)
    for index in range(60):
        overlay.write(frame(index))
    overlay.close()
    assert read_fragments(tmp_path / "overlay.mp4").samples == [1] * 60
    assert [overlay.restart_point(n) for n in (24, 59, 60, 99)] == [24, 59, 59, 59]


def test_a_cut_file_counts_its_whole_fragments(tmp_path: Path) -> None:
    write_masks(tmp_path, [frame(i) for i in range(5)])
    path = tmp_path / "masks.mp4"
    content, fragments = path.read_bytes(), read_fragments(path)
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        assert len(read_fragments(path).ends) == sum(end <= length for end in fragments.ends)


def test_counting_stops_at_the_fragment_that_is_too_many() -> None:
    fragments = Fragments([1, 2, 3], [25, 25, 10])
    assert [fragments.count_within(n) for n in (0, 24, 25, 59, 60, 99)] == [0, 0, 1, 2, 3, 3]


@pytest.mark.parametrize("num_done", [1, 4, 6, 7, 9])
def test_going_on_gives_the_same_bytes_in_every_part(tmp_path: Path, num_done: int) -> None:
    frames = [frame(i) for i in range(6)] + [frame(i, (32, 48)) for i in range(6, 10)]
    whole = write_masks(tmp_path / "whole", frames)
    write_masks(tmp_path / "torn", frames)
    for path in (tmp_path / "torn").iterdir():
        with path.open("ab") as file:
            file.write(b"\x00\x00\x01\x00moof half a fragment")
    assert MasksVideo(tmp_path / "torn").restart_point(num_done) == num_done
    again = write_masks(tmp_path / "torn", frames, num_done=num_done)
    assert again.parts == whole.parts
    for name in ("masks.mp4", "masks.0001.mp4"):
        wanted = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "torn" / name).read_bytes() == wanted
