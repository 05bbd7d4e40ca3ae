"""Messages: what is sent arrives, and what does not fit is refused before it does harm."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from icstream.model import CAMVID, Fit, Geometry, Scores
from icstream.model.geometry import canvas_size
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.wire.frames import pack, unpack
from icstream.pipeline.wire.messages import (
    FROM_HUB,
    FROM_WORKER,
    BeginEncode,
    Closed,
    Connected,
    Done,
    Heartbeat,
    Message,
    PartRun,
    Pixels,
    Slot,
    StageSpan,
    Stop,
    WireError,
    WireFrame,
    Work,
    write,
)
from icstream.pipeline.wire.shared_memory import Arena, ArenaView
from icstream.pipeline.wire.sockets import HubSocket, WorkerLink
from icstream.pipeline.wire.tasks import EncodeTask, task_from_json, task_to_json
from icstream.stages import FrameMeta
from icstream.stages.sinks import Part

META = FrameMeta("drive", 7, -3003, Fraction(1001, 30000), (540, 960), "name")
SMALL = replace(META, size=(64, 96))
GEOMETRY = Geometry((540, 960), (540, 960), (545, 961))


@pytest.mark.parametrize(
    "message",
    [
        Done(
            "drive", 7, GEOMETRY, (Pixels("scores", "float32", (11, 69, 121), 64),), StageSpan(1, 2)
        ),
        Closed(3, {"masks": [Part("masks.mp4", 0, 3, (64, 96), "pts", Fraction(1, 25))]}),
        Heartbeat(1, 2, 0.5),
    ],
)
def test_a_message_from_a_worker_arrives_as_it_was(message: Message) -> None:
    assert FROM_WORKER.read(write(41, message)) == (41, message)


def test_a_message_to_a_worker_arrives_as_it_was() -> None:
    image = Pixels("image", "uint8", (540, 960, 3), None)
    for message in (
        Work(WireFrame(META, GEOMETRY, (image,)), (64, 128), True),
        BeginEncode([PartRun(META, 5)], META),
    ):
        assert FROM_HUB.read(write(0, message)) == (0, message)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff\xff",
        b"no MessagePack",
        msgspec.msgpack.encode((1, 0, {"type": "Unknown"})),
        msgspec.msgpack.encode((1, 0, {"type": "Heartbeat", "num_sent": "many"})),
        msgspec.msgpack.encode(
            (1, 0, {"type": "Heartbeat", "num_sent": 1, "num_received": 1, "busy_s": 0, "more": 1})
        ),
        write(0, Connected())[:-1],
        write(0, Stop()),  # goes the other way
    ],
)
def test_what_is_no_message_is_refused(header: bytes) -> None:
    with pytest.raises(WireError, match="cannot be read"):
        FROM_WORKER.read(header)


def test_another_version_is_refused_by_its_number() -> None:
    later = msgspec.msgpack.encode((2, 0, {"type": "Connected"}))
    with pytest.raises(WireError, match="version 2, this icstream speaks 1"):
        FROM_WORKER.read(later)


@pytest.mark.parametrize(
    ("shape", "offset"),
    [
        ((0, 1, 3), None),
        ((2**20, 2**20, 3), None),
        ((-1, 4, 3), None),
        ((4, 4), 0),
        ((4, 4, 3), -1),
    ],
)
def test_arrays_that_cannot_be_are_refused_before_they_are_allocated(
    shape: tuple[int, ...], offset: int | None
) -> None:
    good = write(
        0, Done("s", 0, GEOMETRY, (Pixels("prepared", "uint8", (4, 4, 3), 0),), StageSpan(0, 1))
    )
    body = msgspec.msgpack.decode(good)
    body[2]["arrays"] = [["prepared", "uint8", shape, offset]]
    with pytest.raises(WireError):
        FROM_WORKER.read(msgspec.msgpack.encode(body))


def test_a_task_arrives_as_it_was() -> None:
    task = EncodeTask(Path("out/drive"), CAMVID, None, ["masks"], None)
    assert task_from_json(EncodeTask, task_to_json(task)) == task


@pytest.mark.parametrize("shared", [True, False])
def test_frames_cross_a_link(tmp_path: Path, shared: bool) -> None:
    arena = Arena() if shared else None
    memory = ArenaView(arena.fd) if arena else None
    room = arena.take(100_000) if arena else (0, 0)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    scores = np.random.default_rng(1).random((11, 9, 13), np.float32)
    places, payload = pack({"image": image, "scores": scores}, room, memory)
    assert len(payload) == (0 if shared else 2)
    hub = HubSocket(f"ipc://{tmp_path}/hub")
    link = WorkerLink(hub.endpoint, b"worker")
    try:
        link.send(Connected())
        assert hub.socket.poll(5000)
        assert hub.receive() is not None
        assert hub.send(b"worker", 0, Work(WireFrame(META, GEOMETRY, places)), payload)
        assert not hub.send(b"nobody", 0, Stop())
        got = link.receive(5)
        assert got is not None
        frame = unpack(got[0].frame, got[1], memory)
        assert frame.meta == META
        assert frame.image is not None
        assert np.array_equal(frame.image, image)
        assert isinstance(frame.result, Scores)
        assert np.array_equal(frame.result.values_Khw, scores)
        hub.send(b"worker", 2, Stop())
        with pytest.raises(WireError, match="message 2 from the hub came where 1 was due"):
            link.receive(5)
    finally:
        link.close()
        hub.close()
        if arena:
            arena.close()


@pytest.mark.parametrize("shared", [True, False])
def test_a_canvas_holds_the_image_and_the_network_s_input(shared: bool) -> None:
    arena = Arena() if shared else None
    memory = ArenaView(arena.fd) if arena else None
    room = arena.take(100_000) if arena else (0, 0)
    canvas = np.random.default_rng(0).integers(0, 256, (3, 65, 97), dtype=np.uint8)
    places, payload = pack({"canvas": canvas}, room, memory)
    sent = [zmq.Frame(part) for part in payload]
    frame = unpack(WireFrame(SMALL, Fit().geometry(SMALL.size), places), sent, memory)
    assert frame.canvas is not None
    assert frame.image is not None
    assert frame.prepared is not None
    assert np.array_equal(frame.canvas, canvas.transpose(1, 2, 0))
    assert np.array_equal(frame.image, frame.canvas[: SMALL.size[0], : SMALL.size[1]])
    assert np.shares_memory(frame.prepared.rgb_hw3, frame.canvas)
    bare = unpack(WireFrame(SMALL, None, places), sent, memory)
    assert bare.prepared is None
    with pytest.raises(WireError, match="too small"):
        unpack(WireFrame(replace(SMALL, size=(64, 98)), None, places), sent, memory)
    if arena:
        arena.close()


def test_what_travels_in_messages_is_what_it_was_when_it_was_sent() -> None:
    scores = np.zeros((11, 9, 13), np.float32)
    _, payload = pack({"scores": scores}, (0, 0), None)
    scores[:] = 1
    assert not payload[0].any()


def test_an_array_without_its_bytes_is_refused() -> None:
    frame = WireFrame(META, None, (Pixels("image", "uint8", (64, 96, 3), None),))
    with pytest.raises(WireError, match="image: the array did not come"):
        unpack(frame, [], None)
    outside = WireFrame(META, None, (Pixels("image", "uint8", (64, 96, 3), 4096),))
    arena = Arena()
    try:
        arena.take(4096)
        with pytest.raises(WireError, match="of 4096 bytes of shared memory"):
            unpack(outside, [], ArenaView(arena.fd))
    finally:
        arena.close()


def test_memory_that_was_given_back_is_used_again() -> None:
    arena = Arena()
    try:
        first, second = arena.take(10_000), arena.take(5000)
        assert (first, second) == ((0, 12_288), (12_288, 20_480))
        arena.give_back(first)
        assert arena.take(12_000) == first
        assert arena.take(1) == (20_480, 24_576)
    finally:
        arena.close()


@pytest.mark.parametrize("size", [(64, 96), (360, 480), (540, 960), (1080, 1920)])
@pytest.mark.parametrize(
    "fit",
    [Fit(), Fit(double_below=500), Fit("stretch", (360, 480)), Fit("letterbox", (513, 1025))],
)
def test_everything_that_is_made_of_a_frame_fits_into_its_slot(
    fit: Fit, size: tuple[int, int]
) -> None:
    arena = Arena()
    try:
        slot = SlotPool(arena, fit=fit, num_classes=19).make(0, size)
        outer = fit.geometry(size).outer
        nodes = [(side - 1) // 8 + 1 for side in outer]
        start, memory = slot.start, ArenaView(arena.fd)
        for field, array in {
            "canvas": np.zeros((3, *canvas_size(size)), np.uint8),
            "prepared": np.zeros((3, *outer), np.uint8),
            "scores": np.zeros((19, *nodes), np.float32),
        }.items():
            (place,), payload = pack({field: array}, (start, slot.stop), memory)  # type: ignore[dict-item]
            assert not payload
            assert place.offset is not None
            start = place.offset + place.num_bytes
    finally:
        arena.close()


def test_a_slot_holds_everything_that_is_made_of_a_frame() -> None:
    arena = Arena()
    try:
        pool = SlotPool(arena, fit=Fit(), num_classes=19)
        slot = pool.make(3, (540, 960))
        # 545x961 is the network's input for 540x960, and 69x121 are its score nodes.
        assert slot.stop - slot.start >= 3 * 540 * 960 + 3 * 545 * 961 + 4 * 19 * 69 * 121
        assert pool.fitting(slot, (64, 96)) == slot
        larger = pool.fitting(slot, (1080, 1920))
        assert (larger.number, larger.stop - larger.start > slot.stop - slot.start) == (3, True)
        assert pool.make(4, (540, 960)) == Slot(4, slot.start, slot.stop)
    finally:
        arena.close()
