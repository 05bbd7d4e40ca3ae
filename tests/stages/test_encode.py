"""The encode stage, the chain of stages, and the books they keep."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from icstream.model import Fit, Scores, StageError
from icstream.pipeline.chain import Chain
from icstream.stages import (
    ClassIds,
    End,
    FormatChange,
    Frame,
    FrameAccounting,
    FrameMeta,
    Gap,
    Item,
)
from icstream.stages.encode import Encode
from icstream.stages.preprocess import Preprocess
from icstream.stages.sinks import MasksVideo, PngMasks, Sink


def frame(index: int, pts: int | None = None, *, size: tuple[int, int] = (64, 96)) -> Frame:
    meta = FrameMeta("s", index, pts, Fraction(1, 25), size)
    return Frame(
        meta, np.full((*size, 3), index, np.uint8), None, ClassIds(np.zeros(size, np.uint8))
    )


def encode(items: Iterable[Item], *sinks: Sink) -> tuple[list[Item], FrameAccounting]:
    accounting = FrameAccounting(in_flight=sum(isinstance(item, Frame) for item in items))
    stage = Encode(sinks, accounting=accounting, keep_image=False)
    done = [out for item in items for out in stage.process(item)]
    stage.close()
    return done, accounting


def test_scores_become_ids_and_frames_are_counted() -> None:
    geometry = Fit().geometry((65, 97))
    values = np.zeros((3, 13, 13), np.float32)
    values[2] = 1
    scored = replace(frame(0, 0, size=(65, 97)), result=Scores(values, geometry))
    (done,), accounting = encode([scored])
    assert isinstance(done, Frame)
    assert isinstance(done.result, ClassIds)
    assert (done.result.ids == 2).all()
    assert done.result.ids.shape == (65, 97)
    assert done.image is None
    assert (accounting.encoded, accounting.in_flight) == (1, 0)


def test_other_items_pass_in_order() -> None:
    items: list[Item] = [frame(0, 0), Gap("s", 1, 1, "lost"), FormatChange("s", 1, "x"), End("s")]
    done, _ = encode(items)
    assert [type(item) for item in done] == [Frame, Gap, FormatChange, End]


@pytest.mark.parametrize(
    "second",
    [frame(1, 1, size=(32, 32)), frame(1, 0), frame(1, None)],
    ids=["another size", "time does not increase", "no more times"],
)
def test_what_cannot_stand_in_one_file_begins_another(tmp_path: Path, second: Frame) -> None:
    sink = MasksVideo(tmp_path)
    encode([frame(0, 0), second], sink)
    assert [part.path for part in sink.parts] == ["masks.mp4", "masks.0001.mp4"]


def test_an_announced_change_begins_one_part_and_not_two(tmp_path: Path) -> None:
    sink = MasksVideo(tmp_path)
    encode([frame(0, 0), FormatChange("s", 1, "size"), frame(1, 1, size=(32, 32))], sink)
    assert len(sink.parts) == 2


def test_a_frame_without_result_is_a_stage_error() -> None:
    with pytest.raises(StageError, match="no result"):
        encode([replace(frame(0, 0), result=None)])


class Broken(PngMasks):
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True
        raise OSError("disk full")


def test_every_sink_is_closed_when_one_fails() -> None:
    sinks = Broken(), Broken()
    with pytest.raises(OSError, match="disk full"):
        Encode(sinks, accounting=FrameAccounting(), keep_image=False).close()
    assert all(sink.closed for sink in sinks)


class FailsOnOdd:
    def process(self, item: Item) -> Iterator[Item]:
        if isinstance(item, Frame) and item.meta.index % 2:
            raise StageError("odd", "made to fail")
        yield item

    def flush(self) -> Iterable[Item]:
        return ()


def read(accounting: FrameAccounting, count: int) -> Iterator[Item]:
    for index in range(count):
        accounting.packets += 1
        accounting.decoded += 1
        accounting.in_flight += 1
        yield frame(index, index)
    yield End("s")


def test_a_frame_that_fails_is_counted_and_the_rest_goes_on() -> None:
    accounting = FrameAccounting()
    encoder = Encode([], accounting=accounting, keep_image=True)
    chain = Chain({"odd": FailsOnOdd(), "encode": encoder}, accounting=accounting)
    done = list(chain.run(read(accounting, 6)))
    assert [type(item) for item in done] == [Frame, Gap] * 3 + [End]
    assert accounting.failed == {"odd": 3}
    assert accounting.faults() == []
    assert not accounting.complete
    assert chain.latency["encode"].summary()


def test_stopping_ends_the_chain_in_order() -> None:
    accounting = FrameAccounting()
    encoder = Encode([], accounting=accounting, keep_image=True)
    chain = Chain(
        {"encode": encoder}, accounting=accounting, should_stop=lambda: accounting.decoded >= 3
    )
    assert len(list(chain.run(read(accounting, 100)))) == 3
    assert accounting.faults() == []


def test_books_that_do_not_close_are_told() -> None:
    faults = FrameAccounting(packets=3, decoded=2, encoded=1).faults()
    assert len(faults) == 2
    assert "packets 3 != decoded 2" in faults[0]


def test_a_image_in_a_canvas_is_prepared_where_it_lies() -> None:
    canvas = np.full((97, 129, 3), 7, np.uint8)
    given = replace(frame(7, 7, size=(70, 100)), image=canvas[:70, :100], canvas=canvas)
    stage = Preprocess(fit=Fit(), mean_color=(124, 117, 104), keep_image=True)
    (done,) = stage.process(given)
    assert isinstance(done, Frame)
    assert done.prepared is not None
    assert np.shares_memory(done.prepared.rgb_hw3, canvas)
    assert done.image is given.image
    (wanted,) = stage.process(frame(7, 7, size=(70, 100)))
    assert isinstance(wanted, Frame)
    assert wanted.prepared is not None
    assert np.array_equal(done.prepared.rgb_hw3, wanted.prepared.rgb_hw3)
    canvas.flags.writeable = False
    assert stage.in_place(given) is None
    canvas.flags.writeable = True
    stretched = Preprocess(fit=Fit("stretch", (64, 64)), mean_color=(0, 0, 0), keep_image=True)
    assert stretched.in_place(given) is None
    (done,) = stretched.process(given)
    assert isinstance(done, Frame)
    assert done.prepared is not None
    assert not np.shares_memory(done.prepared.rgb_hw3, canvas)


def test_preprocessing_needs_a_image_and_pads_with_the_mean() -> None:
    stage = Preprocess(fit=Fit(), mean_color=(124, 117, 104), keep_image=False)
    (done,) = stage.process(frame(7, 7, size=(70, 100)))
    assert isinstance(done, Frame)
    assert done.prepared is not None
    rgb = done.prepared.rgb_hw3
    assert rgb.shape == (97, 129, 3)
    assert (rgb[:70, :100] == 7).all()
    assert (rgb[70:] == (124, 117, 104)).all()
    assert (rgb[:, 100:] == (124, 117, 104)).all()
    assert done.image is None
    with pytest.raises(StageError, match="no picture"):
        list(stage.process(replace(frame(0, 0), image=None)))
    given = frame(0, 0)
    assert given.image is not None
    with pytest.raises(StageError, match=r"an \(H, W, 3\) uint8 array, .* float64"):
        list(stage.process(replace(given, image=given.image.astype(float))))
