"""The order of writing, and what is kept of frames that go no further."""

import random
from fractions import Fraction

from icstream.pipeline.hub.index_ranges import IndexRanges
from icstream.pipeline.hub.lease import Lease
from icstream.pipeline.hub.write_order import WriteOrder
from icstream.pipeline.wire.messages import Slot
from icstream.stages import FrameMeta


def lease(index: int) -> Lease:
    meta = FrameMeta("s", index, index, Fraction(1, 25), (64, 96))
    return Lease(meta, Slot(0), stage="encode")


def test_ranges_are_a_set_of_integers() -> None:
    chosen = random.Random(0).sample(range(200), 120)
    ranges, wanted = IndexRanges(), set[int]()
    for index in chosen:
        ranges.add(index)
        wanted.add(index)
    for low in (0, 50, 51, 199):
        ranges.remove_below(low)
        wanted = {index for index in wanted if index >= low}
        assert [index for index in range(-1, 201) if index in ranges] == sorted(wanted)
        assert list(ranges.missing(40, 160)) == [i for i in range(40, 160) if i not in wanted]


def test_little_is_kept_while_nothing_becomes_durable() -> None:
    order = WriteOrder()
    for index in range(1000):
        order.leave_out(index)
    first, *others = [lease(index) for index in range(1000, 1010)]
    for one in (first, *others):
        order.add(one)
    assert order.next() == (first, False)
    for one in others:
        order.remove(one)
    for index in range(1010, 5000):
        order.leave_out(index)
    last = lease(5000)
    order.add(last)
    assert order.next() == (last, False)
    # What was dropped while there is an encode worker that could be lost, is one range.
    assert len(order._out) == 1
    assert order.release() is first
    assert order.put_back() == [last]
    assert order.next() == (last, False)
    assert order.faults == []


def test_frames_that_are_dropped_without_an_encode_worker_are_not_kept() -> None:
    order = WriteOrder()
    leases = [lease(index) for index in range(1000)]
    for one in leases:
        order.add(one)
        if one.meta.index != 500:
            order.remove(one)
    assert len(order._ahead) == 1
    assert len(order._out) == 1
    assert order.next() == (leases[500], False)
    order.expect(1000)
    assert order.faults == []
    order.expect(1002)
    assert order.faults == [f"frame {n} vanished in transit" for n in (1000, 1001)]
