"""Shared memory and the slots that it is cut into."""

import numpy as np
import pytest

from icstream.model import Fit
from icstream.model.geometry import canvas_size
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.wire.frames import SlotSpace
from icstream.pipeline.wire.messages import Slot
from icstream.pipeline.wire.shared_memory import Arena, ArenaView


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
        space = SlotSpace(ArenaView(arena.fd))
        space.begin((slot.start, slot.stop))
        for place, _ in (
            space.allocate("canvas", (3, *canvas_size(size)), np.uint8),
            space.allocate("prepared", (3, *outer), np.uint8),
            space.allocate("scores", (19, *nodes), np.float32),
        ):
            assert place.offset is not None
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
