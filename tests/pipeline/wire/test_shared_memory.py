"""Shared memory and the slots that it is cut into."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from icstream.model import Fit
from icstream.model.geometry import canvas_size
from icstream.pipeline.wire.frames import SlotSpace
from icstream.pipeline.wire.messages import Pixels
from icstream.pipeline.wire.shared_memory import Arena, ArenaView
from icstream.pipeline.wire.slot_size import SlotSize
from support.hub_parts import slot_pool


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena()
    yield arena
    arena.close()


def resident_bytes(arena: Arena) -> int:
    """Return what the system has allocated for the memory: stat(2) counts blocks of 512 bytes."""
    return 512 * os.fstat(arena.fd).st_blocks


def test_memory_that_was_given_back_is_used_again(arena: Arena) -> None:
    first, second = arena.take(10_000), arena.take(5000)
    assert (first, second) == ((0, 12_288), (12_288, 20_480))
    arena.give_back(first)
    assert arena.take(12_000) == first
    assert arena.take(1) == (20_480, 24_576)


def test_memory_that_was_given_back_is_returned_to_the_system(arena: Arena) -> None:
    first, second = arena.take(1_000_000), arena.take(500_000)
    assert resident_bytes(arena) == arena.num_bytes >= 1_500_000
    arena.give_back(first)
    assert resident_bytes(arena) == arena.num_bytes == second[1] - second[0]
    arena.give_back(second)
    assert resident_bytes(arena) == arena.num_bytes == 0


def test_ranges_are_cut_and_joined_again(arena: Arena) -> None:
    places = [arena.take(3 * 4096) for _ in range(4)]
    for place in (places[0], places[2], places[1]):
        arena.give_back(place)
    small = arena.take(4096)
    assert small == (0, 4096)
    assert arena.take(8 * 4096) == (4096, 9 * 4096)
    assert os.fstat(arena.fd).st_size == 12 * 4096


def test_what_a_worker_wrote_is_there_after_others_were_given_back(arena: Arena) -> None:
    first, second = arena.take(4096), arena.take(4096)
    view = ArenaView(arena.fd)
    values = view.array(Pixels("image", "uint8", (1, 64, 64), second[0]))
    values[:] = 7
    arena.give_back(first)
    larger = arena.take(100_000)
    view.array(Pixels("image", "uint8", (1, 64, 64), larger[0]))[:] = 9
    assert (values == 7).all()


@pytest.mark.parametrize("size", [(64, 96), (360, 480), (540, 960), (1080, 1920)])
@pytest.mark.parametrize(
    "fit",
    [Fit(), Fit(double_below=500), Fit("stretch", (360, 480)), Fit("letterbox", (513, 1025))],
)
def test_everything_that_is_made_of_a_frame_fits_into_its_slot(
    arena: Arena, fit: Fit, size: tuple[int, int]
) -> None:
    outer = fit.geometry(size).outer
    nodes = [(side - 1) // 8 + 1 for side in outer]
    space = SlotSpace(ArenaView(arena.fd))
    space.begin(arena.take(SlotSize(fit, 19).num_bytes(size)))
    for place, _ in (
        space.allocate("canvas", (3, *canvas_size(size)), np.uint8),
        space.allocate("prepared", (3, *outer), np.uint8),
        space.allocate("scores", (19, *nodes), np.float32),
    ):
        assert place.offset is not None


def test_a_slot_holds_everything_that_is_made_of_a_frame(arena: Arena) -> None:
    pool = slot_pool(arena)
    slot = pool.make(3, (540, 960), pool.hold("s", is_live=False))
    # 545x961 is the network's input for 540x960, and 69x121 are its score nodes of two classes.
    needed = 3 * 540 * 960 + 3 * 545 * 961 + 4 * 2 * 69 * 121
    assert slot.number == 3
    assert needed <= slot.stop - slot.start == slot.num_bytes == pool.num_bytes
    assert pool.fits(slot, (520, 900))
    assert not pool.fits(slot, (64, 96))
    assert not pool.fits(slot, (1080, 1920))
