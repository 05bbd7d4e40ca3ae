"""The book of leases: order, losses, and books that show what is missing."""

from fractions import Fraction

from icstream.pipeline.hub.lease_table import At, Lease, Ledger
from icstream.pipeline.wire.messages import Served, Slot
from icstream.stages import FrameMeta

SERVED = Served(0.0, 1.0)


def open_frames(ledger: Ledger, count: int) -> list[Lease]:
    first = ledger.num_ordered
    return [
        ledger.open(FrameMeta("s", n, n, Fraction(1, 25), (64, 96)), Slot(n), SERVED)
        for n in range(first, first + count)
    ]


def segmented(ledger: Ledger, lease: Lease) -> None:
    """Takes a frame up to the encode stage."""
    ledger.advance(lease)
    ledger.advance(lease)


def written(ledger: Ledger) -> list[int]:
    """Hands the encode worker all that is its turn; gives the indices."""
    found = []
    while (lease := ledger.next_to_write()) is not None:
        found.append(lease.meta.index)
    return found


def test_frames_are_written_in_order_whatever_order_they_come_in() -> None:
    ledger = Ledger("s")
    leases = open_frames(ledger, 4)
    segmented(ledger, leases[2])
    segmented(ledger, leases[1])
    assert written(ledger) == []
    segmented(ledger, leases[0])
    assert written(ledger) == [0, 1, 2]
    assert not ledger.all_at_writer()
    segmented(ledger, leases[3])
    assert written(ledger) == [3]
    assert ledger.all_at_writer()


def test_a_lease_ends_when_its_frame_is_durable_and_not_before() -> None:
    ledger = Ledger("s")
    for lease in open_frames(ledger, 3):
        segmented(ledger, lease)
    written(ledger)
    assert [lease.meta.index for lease in ledger.release(2)] == [0, 1]
    assert ledger.release(2) == []
    assert [lease.meta.index for lease in ledger] == [2]
    ledger.release(3)
    ledger.close(3)
    assert ledger.faults == []


def test_what_a_lost_writer_had_comes_again_in_order() -> None:
    ledger = Ledger("s")
    leases = open_frames(ledger, 5)
    for lease in leases[:4]:
        segmented(ledger, lease)
    assert written(ledger) == [0, 1, 2, 3]
    ledger.release(1)
    ledger.take_from_writer(2)
    segmented(ledger, leases[4])
    again = []
    while (found := ledger.next_to_write()) is not None:
        again.append((found.meta.index, found.done_before))
    # Frame 1 is whole in the files already: it is only counted.
    assert again == [(1, True), (2, False), (3, False), (4, False)]
    assert ledger.hops["encode"].again == 3
    ledger.release(5)
    ledger.close(5)
    assert ledger.faults == []


def test_failed_and_dropped_frames_leave_no_hole() -> None:
    ledger = Ledger("s")
    leases = open_frames(ledger, 5)
    ledger.fail(leases[0])
    ledger.drop(leases[3])
    for lease in (leases[1], leases[2], leases[4]):
        segmented(ledger, lease)
    assert written(ledger) == [1, 2, 4]
    ledger.fail(leases[2])  # by the encode worker
    ledger.take_from_writer(0)
    assert written(ledger) == [1, 4]
    ledger.release(2)
    ledger.close(5)
    assert ledger.faults == []
    hops = ledger.hops
    assert [(h.received, h.finished, h.failed, h.dropped) for h in hops.values()] == [
        (5, 3, 1, 1),
        (3, 3, 0, 0),
        (3, 2, 1, 0),
    ]


def test_a_part_begins_with_the_next_frame_that_is_written() -> None:
    ledger = Ledger("s")
    open_frames(ledger, 1)
    ledger.begin_part()
    leases = [*ledger, *open_frames(ledger, 2)]
    assert [lease.begins_part for lease in leases] == [False, True, False]
    segmented(ledger, leases[0])
    ledger.fail(leases[1])
    segmented(ledger, leases[2])
    assert written(ledger) == [0, 2]
    assert leases[2].begins_part


def test_durable_frames_are_remembered_part_by_part() -> None:
    ledger = Ledger("s")
    for lease, part in zip(open_frames(ledger, 5), (0, 0, 1, 1, 1), strict=True):
        segmented(ledger, lease)
        written(ledger)
        ledger.mark_written(lease.meta.index, part)
    ledger.release(5)
    assert [(run.first.index, run.num_frames) for run in ledger.runs] == [(0, 2), (2, 3)]
    assert ledger.last_durable is not None
    assert ledger.last_durable.index == 4


def test_frames_of_an_earlier_run_go_past_all_stages_but_the_last() -> None:
    ledger = Ledger("s", num_done=2)
    leases = open_frames(ledger, 3)
    assert [(lease.done_before, lease.stage) for lease in leases] == [
        (True, "encode"),
        (True, "encode"),
        (False, "preprocess"),
    ]
    segmented(ledger, leases[2])
    assert written(ledger) == [0, 1, 2]
    ledger.release(3)
    ledger.close(3)
    assert ledger.faults == []


def test_the_books_name_a_frame_that_is_missing() -> None:
    ledger = Ledger("s")
    leases = open_frames(ledger, 3)
    segmented(ledger, leases[0])
    ledger.note_vanished(leases[1])
    segmented(ledger, leases[2])
    assert written(ledger) == [0, 2]
    ledger.release(2)
    ledger.close(3)
    assert ledger.faults[0] == "frame 1 vanished in preprocess"
    assert "preprocess still has 1 frames in flight" in ledger.faults


def test_the_books_tell_of_frames_that_never_came() -> None:
    ledger = Ledger("s")
    for lease in open_frames(ledger, 2):
        segmented(ledger, lease)
    written(ledger)
    ledger.release(2)
    ledger.close(3)
    assert ledger.faults == [
        "frame 2 vanished on its way",
        "preprocess received 2 frames of 3",
    ]


def test_a_frame_that_is_done_again_has_the_same_room() -> None:
    ledger = Ledger("s")
    (lease,) = open_frames(ledger, 1)
    lease.slot = Slot(0, 4096, 8192)
    assert lease.room() == (4096, 8192)
    lease.at = At.HELD
    ledger.hand_out_again(lease)
    assert lease.at is At.WAITING
    assert lease.room() == (4096, 8192)
