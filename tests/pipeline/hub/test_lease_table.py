"""The book of leases: order, losses, and books that show what is missing."""

from fractions import Fraction

from icstream.pipeline.hub.lease_table import Lease, LeaseState, LeaseTable
from icstream.pipeline.wire.messages import Slot, StageSpan
from icstream.stages import FrameMeta

SERVED = StageSpan(0.0, 1.0)


def open_frames(table: LeaseTable, count: int) -> list[Lease]:
    first = table.num_ordered
    return [
        table.open(FrameMeta("s", n, n, Fraction(1, 25), (64, 96)), Slot(n), SERVED)
        for n in range(first, first + count)
    ]


def segmented(table: LeaseTable, lease: Lease) -> None:
    """Takes a frame up to the encode stage."""
    table.advance(lease)
    table.advance(lease)


def written(table: LeaseTable) -> list[int]:
    """Hands the encode worker all that is its turn; gives the indices."""
    found = []
    while (lease := table.next_to_write()) is not None:
        found.append(lease.meta.index)
    return found


def test_frames_are_written_in_order_whatever_order_they_come_in() -> None:
    table = LeaseTable("s")
    leases = open_frames(table, 4)
    segmented(table, leases[2])
    segmented(table, leases[1])
    assert written(table) == []
    segmented(table, leases[0])
    assert written(table) == [0, 1, 2]
    assert not table.all_at_writer()
    segmented(table, leases[3])
    assert written(table) == [3]
    assert table.all_at_writer()


def test_a_lease_ends_when_its_frame_is_durable_and_not_before() -> None:
    table = LeaseTable("s")
    for lease in open_frames(table, 3):
        segmented(table, lease)
    written(table)
    assert [lease.meta.index for lease in table.release(2)] == [0, 1]
    assert table.release(2) == []
    assert [lease.meta.index for lease in table] == [2]
    table.release(3)
    table.close(3)
    assert table.faults == []


def test_what_a_lost_writer_had_comes_again_in_order() -> None:
    table = LeaseTable("s")
    leases = open_frames(table, 5)
    for lease in leases[:4]:
        segmented(table, lease)
    assert written(table) == [0, 1, 2, 3]
    table.release(1)
    table.take_from_writer(2)
    segmented(table, leases[4])
    retried = []
    while (found := table.next_to_write()) is not None:
        retried.append((found.meta.index, found.done_before))
    # Frame 1 is whole in the files already: it is only counted.
    assert retried == [(1, True), (2, False), (3, False), (4, False)]
    assert table.stage_counts["encode"].retried == 3
    table.release(5)
    table.close(5)
    assert table.faults == []


def test_failed_and_dropped_frames_leave_no_hole() -> None:
    table = LeaseTable("s")
    leases = open_frames(table, 5)
    table.fail(leases[0])
    table.drop(leases[3])
    for lease in (leases[1], leases[2], leases[4]):
        segmented(table, lease)
    assert written(table) == [1, 2, 4]
    table.fail(leases[2])  # by the encode worker
    table.take_from_writer(0)
    assert written(table) == [1, 4]
    table.release(2)
    table.close(5)
    assert table.faults == []
    stage_counts = table.stage_counts
    assert [(h.received, h.finished, h.failed, h.dropped) for h in stage_counts.values()] == [
        (5, 3, 1, 1),
        (3, 3, 0, 0),
        (3, 2, 1, 0),
    ]


def test_a_part_begins_with_the_next_frame_that_is_written() -> None:
    table = LeaseTable("s")
    open_frames(table, 1)
    table.begin_part()
    leases = [*table, *open_frames(table, 2)]
    assert [lease.begins_part for lease in leases] == [False, True, False]
    segmented(table, leases[0])
    table.fail(leases[1])
    segmented(table, leases[2])
    assert written(table) == [0, 2]
    assert leases[2].begins_part


def test_durable_frames_are_remembered_part_by_part() -> None:
    table = LeaseTable("s")
    for lease, part in zip(open_frames(table, 5), (0, 0, 1, 1, 1), strict=True):
        segmented(table, lease)
        written(table)
        table.mark_written(lease.meta.index, part)
    table.release(5)
    assert [(run.first.index, run.num_frames) for run in table.runs] == [(0, 2), (2, 3)]
    assert table.last_durable is not None
    assert table.last_durable.index == 4


def test_frames_of_an_earlier_run_go_past_all_stages_but_the_last() -> None:
    table = LeaseTable("s", num_done=2)
    leases = open_frames(table, 3)
    assert [(lease.done_before, lease.stage) for lease in leases] == [
        (True, "encode"),
        (True, "encode"),
        (False, "preprocess"),
    ]
    segmented(table, leases[2])
    assert written(table) == [0, 1, 2]
    table.release(3)
    table.close(3)
    assert table.faults == []


def test_the_books_name_a_frame_that_is_missing() -> None:
    table = LeaseTable("s")
    leases = open_frames(table, 3)
    segmented(table, leases[0])
    table.note_vanished(leases[1])
    segmented(table, leases[2])
    assert written(table) == [0, 2]
    table.release(2)
    table.close(3)
    assert table.faults[0] == "frame 1 vanished in preprocess"
    assert "preprocess still has 1 frames in flight" in table.faults


def test_the_books_tell_of_frames_that_never_came() -> None:
    table = LeaseTable("s")
    for lease in open_frames(table, 2):
        segmented(table, lease)
    written(table)
    table.release(2)
    table.close(3)
    assert table.faults == [
        "frame 2 vanished on its way",
        "preprocess received 2 frames of 3",
    ]


def test_a_frame_that_is_done_again_has_the_same_room() -> None:
    table = LeaseTable("s")
    (lease,) = open_frames(table, 1)
    lease.slot = Slot(0, 4096, 8192)
    assert lease.room() == (4096, 8192)
    lease.at = LeaseState.HELD
    table.hand_out_again(lease)
    assert lease.at is LeaseState.WAITING
    assert lease.room() == (4096, 8192)
