"""Workers without processes: the frames of one go to the next, and nothing is copied on the way."""

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from icstream.model import CAMVID, Fit, Scores, StageError
from icstream.pipeline.chain import Chain
from icstream.pipeline.wire.connection import Stopped, WorkerConnection
from icstream.pipeline.wire.frames import SlotSpace, unpack_frame, unpack_scored
from icstream.pipeline.wire.messages import (
    BeginDecode,
    BeginEncode,
    Decoded,
    Done,
    Ended,
    Failed,
    Finish,
    Grant,
    Message,
    Pixels,
    Ready,
    ResumeState,
    SinksOpened,
    Slot,
    SourceAccounting,
    Stop,
    WireFrame,
    Work,
    Written,
)
from icstream.pipeline.wire.shared_memory import Arena, ArenaView
from icstream.pipeline.wire.sockets import WorkerLink
from icstream.pipeline.wire.tasks import DecodeTask, EncodeTask, PreprocessTask, task_to_json
from icstream.pipeline.workers.decode import run_decode_worker
from icstream.pipeline.workers.encode import run_encode_worker
from icstream.pipeline.workers.stage_worker import (
    StageWorker,
    pack_scores,
    run_preprocess_worker,
    segment_worker,
)
from icstream.stages import (
    End,
    FormatChange,
    Frame,
    FrameAccounting,
    FrameMeta,
    Gap,
    Item,
    ScoredFrame,
    SegmentedFrame,
)
from icstream.stages.decode.find import find_sources
from icstream.stages.encode import Encode
from icstream.stages.sinks import PngMasks
from support.clips import make_clip

MEAN = (124, 117, 104)
SLOT_BYTES = 2**20


class Link:
    """A worker's link whose other end is two lists; a worker that waits in vain is ended."""

    def __init__(self, *messages: Message) -> None:
        self.waiting = deque(messages)
        self.sent: list[Any] = []

    def send(self, body: Message, payload: Sequence[Any] = ()) -> None:
        assert not payload
        self.sent.append(body)

    def receive(self, timeout_s: float) -> tuple[Message, list[Any]] | None:
        if self.waiting:
            return self.waiting.popleft(), []
        return (Stop(), []) if timeout_s else None


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena()
    arena.take(8 * SLOT_BYTES)
    yield arena
    arena.close()


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was not made where it should be, but copied there."""
    fields: list[str] = []
    copy = SlotSpace.copy

    def counted(self: SlotSpace, field: Any, values: NDArray[Any]) -> None:
        fields.append(field)
        copy(self, field, values)

    monkeypatch.setattr(SlotSpace, "copy", counted)
    return fields


def connect(arena: Arena, link: Link, task: Any = None) -> WorkerConnection:
    text = "" if task is None else task_to_json(task).decode()
    return WorkerConnection(cast(WorkerLink, link), ArenaView(arena.fd), text)


def decode(arena: Arena, clip: Path, fit: Fit, num_frames: int) -> list[Decoded]:
    """Return what the decode worker sends of the first frames of a clip."""
    slots = [
        Slot(number, number * SLOT_BYTES, (number + 1) * SLOT_BYTES) for number in range(num_frames)
    ]
    before = ResumeState(SourceAccounting.of(FrameAccounting()), None, 0)
    link = Link(BeginDecode(0, 0, before), Grant(slots))
    (spec,) = find_sources([str(clip)])
    task = DecodeTask(spec, 1, 1, PreprocessTask(fit, MEAN), None)
    with pytest.raises(Stopped):
        run_decode_worker(connect(arena, link, task))
    return [message for message in link.sent if isinstance(message, Decoded)]


class FirstChannel:
    """A network whose scores are the input's red at every eighth pixel, and 100."""

    def scores(self, network_input: NDArray[np.uint8], geometry: Any) -> Scores:
        red = network_input[::8, ::8, 0].astype(np.float32)
        return Scores(np.stack([red, np.full_like(red, 100)]), geometry)


def through_the_workers(arena: Arena, decoded: Decoded, fit: Fit) -> ScoredFrame:
    """Pass a frame between workers as the hub does, and return what the encode worker reads."""
    arrays = {pixels.field: pixels for pixels in decoded.frame.arrays}
    geometry = decoded.frame.geometry
    slot = decoded.slot

    def room() -> tuple[int, int]:
        stops = [p.offset + p.num_bytes for p in arrays.values() if p.offset is not None]
        return max(stops), slot.stop

    if geometry is None:
        link = Link(Work(decoded.frame, room()))
        with pytest.raises(Stopped):
            run_preprocess_worker(connect(arena, link, PreprocessTask(fit, MEAN)))
        ready, done = link.sent
        assert ready == Ready()
        geometry = done.geometry
        arrays.update({pixels.field: pixels for pixels in done.arrays})
    link = Link()
    frame = WireFrame(decoded.frame.meta, geometry, tuple(arrays.values()))
    segment_worker(connect(arena, link), cast(Any, FirstChannel())).process(Work(frame, room()), [])
    (done,) = link.sent
    assert isinstance(done, Done)
    arrays.update({pixels.field: pixels for pixels in done.arrays})
    frame = WireFrame(decoded.frame.meta, done.geometry, tuple(arrays.values()))
    return unpack_scored(frame, [], ArenaView(arena.fd))


@pytest.mark.parametrize("fit", [Fit(), Fit("stretch", (96, 128))], ids=["padded", "resized"])
def test_a_frame_is_made_in_its_slot_and_nothing_but_its_scores_is_copied(
    tmp_path: Path, arena: Arena, copied: list[str], fit: Fit
) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    frames = decode(arena, clip, fit, 3)
    assert len(frames) == 3
    assert copied == []
    for decoded in frames:
        (canvas,) = decoded.frame.arrays
        assert (canvas.field, canvas.offset) == ("canvas", decoded.slot.start)
        assert (decoded.frame.geometry is None) == (fit.mode == "stretch")
        scored = through_the_workers(arena, decoded, fit)
        assert copied == ["scores"]
        copied.clear()
        assert scored.image is not None
        wanted = fit.geometry((64, 96))
        assert scored.scores.geometry == wanted
        assert scored.scores.values_Khw.shape == (2, *[(s - 1) // 8 + 1 for s in wanted.outer])
        if fit.mode != "stretch":
            red = scored.scores.values_Khw[0, :8, :12]
            assert np.array_equal(red, scored.image[::8, ::8, 0])


def test_images_of_files_are_copied_into_their_slots(
    tmp_path: Path, arena: Arena, copied: list[str]
) -> None:
    for index in range(2):
        image = Image.fromarray(np.full((64, 96, 3), 40 + index, np.uint8))
        image.save(tmp_path / f"{index}.png")
    frames = decode(arena, tmp_path, Fit(), 2)
    assert copied == ["image", "image"]
    for index, decoded in enumerate(frames):
        sent = unpack_frame(decoded.frame, [], ArenaView(arena.fd))
        assert sent.image is not None
        assert (sent.image == 40 + index).all()


def test_the_decode_worker_reports_the_end_of_its_source(tmp_path: Path, arena: Arena) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=range(4))
    (spec,) = find_sources([str(clip)])
    before = ResumeState(SourceAccounting.of(FrameAccounting()), None, 0)
    slots = [Slot(n, n * SLOT_BYTES, (n + 1) * SLOT_BYTES) for n in range(6)]
    link = Link(BeginDecode(1, 1, before), Grant(slots))
    task = DecodeTask(spec, 1, 1, PreprocessTask(Fit(), MEAN), None)
    with pytest.raises(Stopped):
        run_decode_worker(connect(arena, link, task))
    indices = [body.frame.meta.index for body in link.sent if isinstance(body, Decoded)]
    assert indices == [1, 2, 3]
    assert isinstance(link.sent[-1], Ended)
    assert (link.sent[-1].number, link.sent[-1].error) == (4, None)


def test_the_encode_worker_writes_skips_fails_and_closes(tmp_path: Path, arena: Arena) -> None:
    geometry = Fit().geometry((64, 96))
    space = SlotSpace(ArenaView(arena.fd))
    space.begin((0, SLOT_BYTES))
    space.copy("scores", np.zeros((len(CAMVID), 9, 13), np.float32))
    places, _ = space.packed()

    def work(index: int, arrays: tuple[Pixels, ...] = places, *, begins_part: bool = False) -> Work:
        return Work(WireFrame(frame(index).meta, geometry, arrays), begins_part=begins_part)

    # The first frame was written before, and comes without its arrays; the third has no scores.
    link = Link(
        BeginEncode([], None),
        work(0, ()),
        work(1),
        work(2, ()),
        work(3, begins_part=True),
        Finish(),
    )
    folder = tmp_path / "s"
    PngMasks(folder, CAMVID).write(SegmentedFrame(frame(0).meta, np.zeros((64, 96), np.uint8)))
    task = EncodeTask(folder, CAMVID, None, ["png"], 1)
    with pytest.raises(Stopped):
        run_encode_worker(connect(arena, link, task))
    opened, *done, closed = link.sent
    assert opened == SinksOpened(wants_image=False, num_done=1)
    assert [type(message) for message in done] == [Written, Written, Failed, Written]
    assert [(m.index, m.part, m.num_durable) for m in done if isinstance(m, Written)] == [
        (0, 0, 1),
        (1, 0, 2),
        (3, 1, 3),
    ]
    assert [(m.index, m.reason) for m in done if isinstance(m, Failed)] == [(2, "no result")]
    assert closed.num_frames == 3
    assert [part.num_frames for part in closed.parts["png"]] == [2, 1]
    assert len(list(folder.rglob("*.png"))) == 3


class ScoresEvenFrames:
    """A stage that gives every pixel the class 1 and cannot process every second frame."""

    def process(self, frame: Frame) -> ScoredFrame:
        if frame.meta.index % 2:
            raise StageError("odd", f"frame {frame.meta.index} is made to fail")
        geometry = Fit().geometry(frame.meta.size)
        nodes = [(side - 1) // 8 + 1 for side in geometry.outer]
        scores = np.zeros((2, *nodes), np.float32)
        scores[1] = 1
        return ScoredFrame(frame.meta, frame.image, Scores(scores, geometry))


def frame(index: int) -> Frame:
    meta = FrameMeta("s", index, index, Fraction(1, 25), (64, 96))
    return Frame(meta, np.full((64, 96, 3), index, np.uint8))


def read(accounting: FrameAccounting) -> Iterator[Item]:
    for index in range(6):
        accounting.packets += 1
        accounting.decoded += 1
        accounting.in_flight += 1
        yield frame(index)
    yield FormatChange("s", 6, "end of the test")
    yield End("s")


def test_a_stage_gives_the_same_in_a_worker_as_in_one_process(arena: Arena) -> None:
    accounting = FrameAccounting()
    encode = Encode([], accounting=accounting)
    chain = Chain([ScoresEvenFrames()], encode, accounting=accounting)
    results = list(chain.run(read(accounting)))
    assert [type(result) for result in results] == [SegmentedFrame, Gap] * 3 + [FormatChange, End]
    assert accounting.failed == {"odd": 3}
    assert accounting.encoded == 3
    assert accounting.faults() == []
    assert not accounting.complete

    link = Link()
    connection = connect(arena, link)
    space = SlotSpace(connection.memory)
    worker = StageWorker(connection, space, ScoresEvenFrames(), unpack_frame, pack_scores)
    images = SlotSpace(connection.memory)
    for index, result in enumerate(results[:6]):
        images.begin((0, SLOT_BYTES))
        given = frame(index)
        assert given.image is not None
        images.copy("image", given.image)
        sent = WireFrame(given.meta, None, images.packed()[0])
        worker.process(Work(sent, (SLOT_BYTES, 2 * SLOT_BYTES)), [])
        message = link.sent.pop()
        if isinstance(result, SegmentedFrame):
            assert isinstance(message, Done)
            made = WireFrame(given.meta, message.geometry, (*sent.arrays, *message.arrays))
            scored = unpack_scored(made, [], connection.memory)
            assert np.array_equal(scored.scores.class_ids(), result.class_ids)
        else:
            assert isinstance(result, Gap)
            assert isinstance(message, Failed)
            assert (message.index, message.reason) == (result.index, result.reason)


def test_closing_a_chain_closes_its_source() -> None:
    accounting = FrameAccounting()
    closed = []

    def source() -> Iterator[Item]:
        try:
            yield from read(accounting)
        finally:
            closed.append(True)

    encode = Encode([], accounting=accounting)
    items = Chain([ScoresEvenFrames()], encode, accounting=accounting).run(source())
    next(items)
    items.close()
    assert closed == [True]
    assert accounting.faults() == []
