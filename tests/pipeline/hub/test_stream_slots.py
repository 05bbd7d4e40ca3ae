"""The slots of streams whose frames change in size, where memory is plenty and where it is not."""

from collections.abc import Iterator
from itertools import islice

import pytest

from icstream.model import Fit
from icstream.model.memory import MemoryBudget
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_slots import StreamSlots
from icstream.pipeline.wire.messages import Slot
from icstream.pipeline.wire.shared_memory import Arena
from icstream.pipeline.wire.slot_size import SlotSize
from support.hub_parts import slot_pool

WINDOW = 7
SMALL, LARGE = (64, 96), (1080, 1920)


def num_bytes(size: tuple[int, int]) -> int:
    return SlotSize(Fit(), 2).num_bytes(size)


def open_slots(
    pool: SlotPool, size: tuple[int, int] = SMALL, *, name: str = "s", is_live: bool = False
) -> StreamSlots:
    slots = StreamSlots(pool, pool.hold(name, is_live=is_live), window=WINDOW)
    slots.make(size)
    return slots


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena()
    yield arena
    arena.close()


def decode(slots: StreamSlots, size: tuple[int, int]) -> Slot:
    """Play the decoder: fills a slot with a frame, and asks for room if none is large enough."""
    slots.grant()
    fitting = (slot for slot in slots.granted.values() if slot.num_bytes >= num_bytes(size))
    slot = next(fitting, None)
    if slot is None:
        slots.want(size, list(slots.granted))
        assert slots.settle_want() is None
        return decode(slots, size)
    assert slots.fill_granted(slot)
    return slot


def test_memory_is_that_of_the_frames_in_flight_however_their_sizes_change(arena: Arena) -> None:
    pool = slot_pool(arena)
    slots = open_slots(pool, (200, 200))
    in_flight: list[tuple[Slot, tuple[int, int]]] = []
    peak = 0
    for side in range(200, 744, 2):
        in_flight.append((decode(slots, (side, side)), (side, side)))
        peak = max(peak, arena.num_bytes)
        if len(in_flight) > 4:
            slots.take_back(*in_flight.pop(0))
    assert peak <= WINDOW * num_bytes((744, 744))
    for entry in in_flight:
        slots.take_back(*entry)
    # Large frames leave no large slots behind.
    for _ in range(2 * WINDOW):
        slots.take_back(decode(slots, SMALL), SMALL)
    assert arena.num_bytes == pool.num_bytes <= WINDOW * num_bytes(SMALL)


def test_where_memory_is_short_there_are_fewer_slots() -> None:
    slots = open_slots(slot_pool(num_bytes=3 * num_bytes(LARGE)), LARGE)
    assert len(slots.grant()) == 3
    for slot in list(slots.granted.values()):
        assert slots.fill_granted(slot)
    assert slots.are_used_up_by(3)
    slots.take_back(Slot(6, 0, 0, num_bytes(LARGE)), LARGE)
    assert not slots.are_used_up_by(3)


def test_a_frame_for_which_there_is_no_memory_is_refused_with_need_and_budget() -> None:
    slots = open_slots(slot_pool(num_bytes=1_000_000))
    slots.grant()
    slots.want(LARGE, list(slots.granted))
    refusal = slots.settle_want()
    assert refusal == (
        "s: a frame of 1920x1080 pixels: needs 13 MB of memory, 1 MB of the allowed 1 MB are free"
    )
    # Smaller frames go on.
    assert decode(slots, SMALL).num_bytes == num_bytes(SMALL)


def test_a_frame_with_an_array_beyond_what_messages_carry_is_refused() -> None:
    # One pixel high, it is padded to 65 rows: 3 x 65 x 6,000,000 bytes are more than 2^30.
    slots = open_slots(slot_pool(num_bytes=10**12))
    slots.want((1, 6_000_000), list(slots.granted))
    assert slots.settle_want() == (
        "s: a frame of 6000000x1 pixels: needs an array larger than the allowed 1073741824 bytes"
    )


def test_a_frame_that_doubling_makes_too_large_is_refused() -> None:
    # 8000x7000 pixels are allowed; doubled they are 16000x14000, padded to 32k + 1.
    size = SlotSize(Fit(double_below=8000), num_classes=2)
    slots = open_slots(SlotPool(None, size=size, budget=MemoryBudget(10**12)))
    slots.want((7000, 8000), list(slots.granted))
    assert slots.settle_want() == (
        "s: a frame of 8000x7000 pixels: needs an input of the network of 16001x14017 pixels, more"
        " than the allowed 100663296"
    )


def test_the_first_frame_may_be_too_large_and_the_next_ones_are_not() -> None:
    slots = open_slots(slot_pool(num_bytes=1_000_000), LARGE)
    assert [slot.num_bytes for slot in slots.grant()] == [0]
    slots.want(SMALL, list(slots.granted))
    assert slots.settle_want() is None
    assert len(slots.grant()) == WINDOW


def test_a_frame_waits_for_the_memory_of_frames_of_its_stream() -> None:
    slots = open_slots(slot_pool(num_bytes=num_bytes(LARGE) + num_bytes(SMALL)))
    under_way = decode(slots, SMALL)
    other = decode(slots, SMALL)
    slots.want(LARGE, list(slots.granted))
    assert slots.settle_want() is None
    assert slots.grant() == []
    slots.take_back(other, SMALL)
    assert slots.settle_want() is None
    (room,) = slots.grant()
    assert room.num_bytes == num_bytes(LARGE)
    slots.take_back(under_way, SMALL)


@pytest.mark.parametrize("is_live", [False, True], ids=["recording", "camera"])
def test_a_frame_waits_for_other_recordings_and_not_for_cameras(is_live: bool) -> None:
    pool = slot_pool(num_bytes=WINDOW * num_bytes(SMALL) + num_bytes(LARGE) - 1)
    other = open_slots(pool, name="other", is_live=is_live)
    slots = open_slots(pool)
    slots.want(LARGE, list(slots.granted))
    refusal = slots.settle_want()
    assert (refusal is not None) == is_live
    pool.give_back(other.end())
    assert slots.settle_want() is None
    if not is_live:
        (room,) = islice(slots.grant(), 1)
        assert room.num_bytes == num_bytes(LARGE)


def test_the_slots_of_a_lost_decoder_come_back() -> None:
    pool = slot_pool()
    slots = open_slots(pool)
    slots.grant()
    slots.want(LARGE, [0, 1])
    slots.take_granted()
    slots.fill()
    assert len(slots.free) == WINDOW
    pool.give_back(slots.end())
    assert pool.num_bytes == 0
