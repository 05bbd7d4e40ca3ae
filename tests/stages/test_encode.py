"""The encode stage, and the accounting that it keeps."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from icstream.model import CAMVID, Fit, Scores, StageError
from icstream.stages import FrameAccounting, FrameMeta, ScoredFrame, SegmentedFrame
from icstream.stages.encode import Encode
from icstream.stages.sinks import MasksVideo, OverlayVideo, PngMasks, Sink, restart_point


def frame(index: int, pts: int | None = None, *, size: tuple[int, int] = (64, 96)) -> ScoredFrame:
    """The image has the value of the index, the mask is of class 0."""
    geometry = Fit().geometry(size)
    nodes = [(side - 1) // 8 + 1 for side in geometry.outer]
    scores = np.zeros((3, *nodes), np.float32)
    scores[0] = 1
    meta = FrameMeta("s", index, pts, Fraction(1, 25), size)
    return ScoredFrame(meta, np.full((*size, 3), index, np.uint8), Scores(scores, geometry))


def wide(item: ScoredFrame) -> ScoredFrame:
    """The frame with pixels twice as wide as high."""
    return replace(item, meta=replace(item.meta, pixel_aspect=Fraction(2)))


def encode(
    frames: Iterable[ScoredFrame], *sinks: Sink
) -> tuple[list[SegmentedFrame], FrameAccounting]:
    frames = list(frames)
    accounting = FrameAccounting(in_flight=len(frames))
    stage = Encode(sinks, accounting=accounting)
    done = [stage.process(item) for item in frames]
    stage.close()
    return done, accounting


def test_scores_become_ids_and_frames_are_counted() -> None:
    scored = frame(0, 0, size=(65, 97))
    scored.scores.values_Khw[2] = 2
    (done,), accounting = encode([scored])
    assert (done.class_ids == 2).all()
    assert done.class_ids.shape == (65, 97)
    assert done.meta is scored.meta
    assert (accounting.encoded, accounting.in_flight) == (1, 0)


@pytest.mark.parametrize(
    "second",
    [frame(1, 91, size=(32, 32)), frame(1, 64), frame(1, None), wide(frame(1, 91))],
    ids=["another size", "time goes back by more than a second", "no more times", "wide pixels"],
)
def test_what_cannot_stand_in_one_file_begins_another(tmp_path: Path, second: ScoredFrame) -> None:
    sink = MasksVideo(tmp_path)
    encode([frame(0, 90), second], sink)
    assert [part.path for part in sink.parts] == ["masks.mp4", "masks.0001.mp4"]


@pytest.mark.parametrize("pts", [65, 90, 91, 2**40])
def test_a_time_that_is_late_repeated_or_far_away_begins_no_other(tmp_path: Path, pts: int) -> None:
    sink = MasksVideo(tmp_path)
    encode([frame(0, 90), frame(1, pts)], sink)
    assert [part.path for part in sink.parts] == ["masks.mp4"]


def test_an_announced_change_begins_one_part_and_not_two(tmp_path: Path) -> None:
    sink = MasksVideo(tmp_path)
    stage = Encode([sink], accounting=FrameAccounting())
    stage.process(frame(0, 0))
    stage.begin_part()
    stage.process(frame(1, 1, size=(32, 32)))
    stage.close()
    assert len(sink.parts) == 2


def test_a_sink_that_cannot_hold_a_size_leaves_it_out_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    masks, overlay = MasksVideo(tmp_path), OverlayVideo(tmp_path, CAMVID)
    sizes = [(64, 96), (64, 16_386), (64, 16_386), (64, 96)]
    done, accounting = encode([frame(i, i, size=s) for i, s in enumerate(sizes)], masks, overlay)
    assert (len(done), accounting.encoded) == (4, 4)
    assert [part.num_frames for part in masks.parts] == [1, 2, 1]
    assert [(part.path, part.num_frames) for part in overlay.parts] == [
        ("overlay.mp4", 1),
        ("overlay.0001.mp4", 1),
    ]
    assert caplog.messages == [
        f"{tmp_path.name}/overlay.mp4: left out: frames of 16386x64 pixels: H.264 files have widths"
        " from 1 and sides up to 16384"
    ]


def test_a_frame_that_no_sink_can_hold_fails(tmp_path: Path) -> None:
    sinks = OverlayVideo(tmp_path, CAMVID), MasksVideo(tmp_path)
    stage = Encode(sinks, accounting=FrameAccounting())
    stage.process(frame(0, 0))
    with pytest.raises(StageError, match=r"no sink for its size: frame 1: 65538x1 pixels: H\.264"):
        stage.process(frame(1, 1, size=(1, 65_538)))
    stage.process(frame(2, 2))
    stage.close()
    assert [part.num_frames for sink in sinks for part in sink.parts] == [2, 2]


def count_frames(path: Path) -> int:
    with av.open(path) as file:
        return len(list(file.decode(video=0)))


@pytest.mark.parametrize("num_shown", [1, 3, 5])
def test_going_on_after_frames_were_left_out_gives_the_same_frames(
    tmp_path: Path, num_shown: int
) -> None:
    sizes = [*[(64, 96)] * 3, *[(64, 16_386)] * 2, *[(32, 48)] * 3]
    frames = [frame(i, i, size=size) for i, size in enumerate(sizes)]
    for name, shown in (("whole", frames), ("stopped", frames[:num_shown])):
        encode(shown, MasksVideo(tmp_path / name), OverlayVideo(tmp_path / name, CAMVID))
    folder = tmp_path / "stopped"
    sinks = MasksVideo(folder), OverlayVideo(folder, CAMVID)
    num_done = restart_point(sinks)
    stage = Encode(sinks, accounting=FrameAccounting(), num_done=num_done)
    for item in frames:
        if stage.next_is_done:
            stage.skip(item.meta)
        else:
            stage.process(item)
    stage.close()
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert files == [
        *("masks.0001.mp4", "masks.0002.mp4", "masks.mp4", "overlay.0001.mp4", "overlay.mp4")
    ]
    assert sorted(path.name for path in folder.iterdir()) == files
    for name in files:
        whole, again = tmp_path / "whole" / name, folder / name
        if name.startswith("masks"):
            assert again.read_bytes() == whole.read_bytes()
        assert count_frames(again) == count_frames(whole)


class Broken(PngMasks):
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True
        raise OSError("disk full")


def test_every_sink_is_closed_when_one_fails() -> None:
    sinks = Broken(), Broken()
    with pytest.raises(OSError, match="disk full"):
        Encode(sinks, accounting=FrameAccounting()).close()
    assert all(sink.closed for sink in sinks)


class Images(PngMasks):
    """Keeps the images that it is given."""

    wants_image = True

    def __init__(self) -> None:
        super().__init__(Path("nothing is written"), CAMVID)
        self.images: list[np.ndarray] = []

    def write(self, frame: SegmentedFrame) -> None:
        self.images.append(frame.require_image())


def test_sinks_get_images_whose_pixels_lie_side_by_side() -> None:
    planar = np.arange(3 * 64 * 96, dtype=np.uint8).reshape(3, 64, 96).transpose(1, 2, 0)
    scored = frame(0, 0)
    sink = Images()
    encode([ScoredFrame(scored.meta, planar, scored.scores)], sink)
    assert np.array_equal(sink.images[0], planar)
    assert sink.images[0].flags.c_contiguous


def test_a_sink_that_needs_images_without_wants_image_gets_an_error() -> None:
    meta = frame(0, 0).meta
    with pytest.raises(ValueError, match=r"frame 0 has no image; .* wants_image"):
        SegmentedFrame(meta, np.zeros((64, 96), np.uint8)).require_image()


def test_frames_that_were_written_before_are_only_counted(tmp_path: Path) -> None:
    encode([frame(0, 0), frame(1, 1)], PngMasks(tmp_path, CAMVID))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    sink = PngMasks(tmp_path, CAMVID)
    accounting = FrameAccounting(in_flight=3)
    stage = Encode([sink], accounting=accounting, num_done=2)
    for index in range(3):
        if stage.next_is_done:
            stage.skip(frame(index, index).meta)
        else:
            stage.process(frame(index, index))
    assert before == {
        path.name: path.stat().st_mtime_ns
        for path in tmp_path.rglob("*.png")
        if path.name in before
    }
    assert (stage.num_frames, stage.num_durable, sink.parts[0].num_frames) == (3, 3, 3)
    assert (accounting.encoded, accounting.in_flight) == (3, 0)


def test_accounts_that_do_not_balance_are_reported() -> None:
    faults = FrameAccounting(packets=3, decoded=2, encoded=1).faults()
    assert len(faults) == 2
    assert "packets 3 != decoded 2" in faults[0]
