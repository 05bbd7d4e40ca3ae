"""Frames between processes: what is put into a slot or behind a message is what is taken out."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import zmq

from icstream.model import Fit, Geometry, StageError
from icstream.pipeline.wire.frames import (
    SlotSpace,
    unpack_frame,
    unpack_prepared,
    unpack_scored,
)
from icstream.pipeline.wire.messages import Connected, Pixels, Stop, WireError, WireFrame, Work
from icstream.pipeline.wire.shared_memory import Arena, ArenaView
from icstream.pipeline.wire.sockets import HubSocket, WorkerLink
from icstream.stages import FrameMeta

META = FrameMeta("drive", 7, -3003, Fraction(1001, 30000), (540, 960), "name")
SMALL = replace(META, size=(64, 96))
GEOMETRY = Geometry((540, 960), (540, 960), (545, 961))
ROOM = (4096, 4096 + 100_000)


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena()
    arena.take(4096)
    arena.take(100_000)
    yield arena
    with suppress(OSError):
        arena.close()


@pytest.fixture(params=["shared", "sent"])
def memory(request: pytest.FixtureRequest, arena: Arena) -> ArenaView | None:
    """The shared memory, or None where arrays travel in messages."""
    return ArenaView(arena.fd) if request.param == "shared" else None


def new_space(memory: ArenaView | None) -> SlotSpace:
    space = SlotSpace(memory)
    space.begin(ROOM if memory else (0, 0))
    return space


def test_frames_cross_a_link(tmp_path: Path, memory: ArenaView | None) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    scores = np.random.default_rng(1).random((11, 9, 13), np.float32)
    space = new_space(memory)
    space.copy("image", image)
    space.copy("scores", scores)
    places, payload = space.packed()
    assert len(payload) == (0 if memory else 2)
    hub = HubSocket(f"ipc://{tmp_path}/hub")
    link = WorkerLink(hub.endpoint, b"worker")
    try:
        link.send(Connected())
        assert hub.socket.poll(5000)
        assert hub.receive() is not None
        assert hub.send(b"worker", 0, Work(WireFrame(META, GEOMETRY, places)), payload)
        assert not hub.send(b"nobody", 0, Stop())
        received = link.receive(5)
        assert received is not None
        frame = unpack_scored(received[0].frame, received[1], memory)
        assert frame.meta == META
        assert frame.image is not None
        assert np.array_equal(frame.image, image)
        assert np.array_equal(frame.scores.values_Khw, scores)
        hub.send(b"worker", 2, Stop())
        with pytest.raises(WireError, match="message 2 from the hub instead of 1"):
            link.receive(5)
    finally:
        link.close()
        hub.close()


def test_a_canvas_holds_the_image_and_the_network_s_input(memory: ArenaView | None) -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (3, 65, 97), dtype=np.uint8)
    space = new_space(memory)
    space.copy("canvas", canvas)
    places, payload = space.packed()
    sent = [zmq.Frame(part) for part in payload]
    wire_frame = WireFrame(SMALL, Fit().geometry(SMALL.size), places)
    frame = unpack_frame(wire_frame, sent, memory)
    assert frame.canvas is not None
    assert frame.image is not None
    assert np.array_equal(frame.canvas, canvas.transpose(1, 2, 0))
    assert np.array_equal(frame.image, frame.canvas[: SMALL.size[0], : SMALL.size[1]])
    prepared = unpack_prepared(wire_frame, sent, memory)
    assert np.shares_memory(prepared.network_input, frame.canvas)
    with pytest.raises(StageError, match="skipped preprocessing"):
        unpack_prepared(WireFrame(SMALL, None, places), sent, memory)
    with pytest.raises(WireError, match="too small"):
        unpack_frame(WireFrame(replace(SMALL, size=(64, 98)), None, places), sent, memory)


def test_a_frame_without_scores_is_a_stage_error() -> None:
    with pytest.raises(StageError, match="no result"):
        unpack_scored(WireFrame(META, GEOMETRY, ()), [], None)


def test_what_was_allocated_is_sent_from_where_it_lies(memory: ArenaView | None) -> None:
    space = new_space(memory)
    _, array = space.allocate("scores", (2, 3, 4), np.float32)
    array[:] = 5
    assert "scores" in space
    (place,), payload = space.packed()
    if memory is None:
        assert payload[0] is array
    else:
        assert not payload
        assert np.shares_memory(memory.array(place), array)
        assert place.offset == ROOM[0]


def test_arrays_of_a_frame_lie_behind_one_another(arena: Arena) -> None:
    space = new_space(ArenaView(arena.fd))
    first, _ = space.allocate("canvas", (3, 5, 7), np.uint8)
    second, _ = space.allocate("prepared", (3, 5, 7), np.uint8)
    assert (first.offset, second.offset) == (ROOM[0], ROOM[0] + 128)  # 105 bytes, aligned to 64
    space.begin(ROOM)
    assert space.packed() == ((), [])
    assert space.allocate("canvas", (3, 5, 7), np.uint8)[0] == first


def test_what_does_not_fit_travels_with_the_message(arena: Arena) -> None:
    space = new_space(ArenaView(arena.fd))
    place, array = space.allocate("canvas", (3, 300, 300), np.uint8)
    assert place.offset is None
    assert space.allocate("image", (3, 5, 7), np.uint8)[0].offset == ROOM[0]
    places, payload = space.packed()
    assert [pixels.field for pixels in places] == ["canvas", "image"]
    assert len(payload) == 1
    assert payload[0] is array


def test_what_is_copied_is_what_it_was_then(memory: ArenaView | None) -> None:
    scores = np.zeros((11, 9, 13), np.float32)
    space = new_space(memory)
    space.copy("scores", scores)
    scores[:] = 1
    (place,), payload = space.packed()
    assert not (memory.array(place) if memory else payload[0]).any()


def test_an_array_without_its_bytes_is_refused(arena: Arena) -> None:
    frame = WireFrame(META, None, (Pixels("image", "uint8", (64, 96, 3), None),))
    with pytest.raises(WireError, match="image: the array is missing"):
        unpack_frame(frame, [], None)
    outside = WireFrame(META, None, (Pixels("image", "uint8", (640, 96, 3), 4096),))
    with pytest.raises(WireError, match="of 106496 bytes of shared memory"):
        unpack_frame(outside, [], ArenaView(arena.fd))
