"""Cutting fragmented MP4 files and going on behind the cut."""

import errno
import os
import struct
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from icstream.model import CAMVID
from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.sinks import MasksVideo, OverlayVideo
from icstream.stages.sinks.fragments import FragmentFile, last_fragment


def frame(index: int, size: tuple[int, int] = (64, 96)) -> SegmentedFrame:
    random = np.random.default_rng(index)
    ids = random.integers(0, 11, (size[0] // 8, size[1] // 8), dtype=np.uint8).repeat(8, 0)
    meta = FrameMeta("s", index, 1000 + 3000 * index, Fraction(1, 90000), size)
    image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    return SegmentedFrame(meta, np.ascontiguousarray(ids.repeat(8, 1)), image)


def ends_of_fragments(path: Path) -> list[int]:
    """Return the ends of the mdat boxes, by going from box to box (ISO/IEC 14496-12, 4.2)."""
    content, place, ends = path.read_bytes(), 0, []
    while place < len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        place += size
        if kind == b"mdat":
            ends.append(place)
    return ends


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
    assert ends_of_fragments(tmp_path / "masks.mp4")[6:] == [
        (tmp_path / "masks.mp4").stat().st_size
    ]
    overlay = OverlayVideo(tmp_path, CAMVID)
    for index in range(60):
        overlay.write(frame(index))
    overlay.close()
    assert len(ends_of_fragments(tmp_path / "overlay.mp4")) == 60
    assert [overlay.restart_point(n) for n in (24, 59, 60, 99)] == [24, 59, 59, 59]


def test_a_cut_file_counts_its_whole_fragments(tmp_path: Path) -> None:
    write_masks(tmp_path, [frame(i) for i in range(5)])
    path = tmp_path / "masks.mp4"
    content, ends = path.read_bytes(), ends_of_fragments(path)
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        last = last_fragment(path)
        assert (last.number if last else 0) == sum(end <= length for end in ends)
        assert last is None or last.end == ends[last.number - 1]


def test_a_fragment_is_found_from_the_end_of_a_long_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_masks(tmp_path, [frame(i) for i in range(50)])
    path = tmp_path / "masks.mp4"
    ends = ends_of_fragments(path)
    with path.open("ab") as file:
        file.write(bytes(5000))  # as a loss of power leaves it
    monkeypatch.setattr("icstream.stages.sinks.fragments._WINDOW", 300)
    last = last_fragment(path)
    assert last is not None
    assert (last.number, last.end, last.time) == (50, ends[-1], 1000 + 3000 * 49)
    for number in (1, 2, 33):
        found = last_fragment(path, at_most=number)
        assert found is not None
        assert (found.number, found.end) == (number, ends[number - 1])
    assert last_fragment(path, at_most=0) is None


def test_letters_in_a_frame_are_no_fragment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_masks(tmp_path, [frame(i) for i in range(4)])
    path = tmp_path / "masks.mp4"
    content, ends = path.read_bytes(), ends_of_fragments(path)
    inside = ends[2] - 250  # of the third frame; a moof with its mfhd, and no mdat behind it
    fake = content[ends[0] : ends[0] + 24]
    path.write_bytes(content[:inside] + fake + content[inside + len(fake) :])
    monkeypatch.setattr("icstream.stages.sinks.fragments._WINDOW", len(content) - inside)
    last = last_fragment(path)
    assert last is not None
    assert (last.number, last.end) == (4, ends[3])


def test_a_reader_meets_whole_frames_only_wherever_writing_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [frame(i) for i in range(3)]
    write_masks(tmp_path / "whole", frames)
    ends = ends_of_fragments(tmp_path / "whole" / "masks.mp4")
    written = bytearray()

    def keep(_descriptor: int, data: bytes, offset: int) -> int:
        # Half of it, as where a disk is full or a signal comes.
        part = data if len(data) < 100 else data[: len(data) // 2]
        written[offset : offset + len(part)] = part
        states.append(bytes(written))
        return len(part)

    states: list[bytes] = []
    monkeypatch.setattr("os.pwrite", keep)
    write_masks(tmp_path / "torn", frames)
    monkeypatch.undo()
    assert bytes(written) == (tmp_path / "whole" / "masks.mp4").read_bytes()
    path = tmp_path / "state.mp4"
    for state in states:
        path.write_bytes(state)
        last = last_fragment(path)
        whole = last.number if last else 0
        assert whole <= sum(end <= len(state) for end in ends)
        if len(state) > ends[0]:
            with av.open(path) as file:  # PyAV raises at a frame that is cut off
                assert len(list(file.decode(video=0))) == whole


def test_a_full_disk_leaves_whole_fragments_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "masks.mp4"
    file = FragmentFile(path, continued=False)
    file.write(b"\x00\x00\x00\x0cftypisom")
    file.commit()
    write = os.pwrite
    num_written = 0

    def refuse(descriptor: int, data: bytes, offset: int) -> int:
        nonlocal num_written
        num_written += 1
        if num_written > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:5], offset)

    monkeypatch.setattr("os.pwrite", refuse)
    file.write(b"\x00\x00\x00\x08moof\x00\x00\x00\x08mdat")
    with pytest.raises(OSError, match="No space left") as caught, closing(file):
        file.commit()
    assert caught.value.filename == str(path)
    assert path.stat().st_size == 12


@pytest.mark.parametrize("num_done", [1, 4, 6, 7, 9])
@pytest.mark.parametrize("far", [False, True])
def test_going_on_gives_the_same_bytes_in_every_part(
    tmp_path: Path, num_done: int, far: bool
) -> None:
    frames = [frame(i) for i in range(6)] + [frame(i, (32, 48)) for i in range(6, 10)]
    if far:  # further apart than a sample may last, and then twice at one time
        places = (0, 1, 2**31, 2**40, 2**40 + 1, 2**40 + 1, 2**40 + 1, 2**41, 2**41 + 1, 2**42)
        frames = [
            replace(f, meta=replace(f.meta, pts=p)) for f, p in zip(frames, places, strict=True)
        ]
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
