"""The lease table: order, losses, and audits that show what is missing."""

from fractions import Fraction

from icstream.model import Fit
from icstream.pipeline.hub.lease import Lease, LeaseState
from icstream.pipeline.hub.lease_table import LeaseTable
from icstream.pipeline.wire.messages import Slot, StageSpan
from icstream.stages import FrameAccounting, FrameMeta

GEOMETRY = Fit().geometry((64, 96))
SERVED = StageSpan(0.0, 1.0)


def open_frames(table: LeaseTable, count: int) -> list[Lease]:
    first = table.num_ordered
    return [
        table.open(FrameMeta("s", n, n, Fraction(1, 25), (64, 96)), Slot(n), SERVED)
        for n in range(first, first + count)
    ]


def resumed_table(num_done: int) -> LeaseTable:
    table = LeaseTable(FrameAccounting())
    table.resume(num_done)
    return table


def segmented(table: LeaseTable, lease: Lease) -> None:
    """Take a frame up to the encode stage."""
    for _ in range(2):
        table.hold(lease)
        table.finish(lease, arrays={}, geometry=GEOMETRY, served=SERVED, keep_image=True)


def written(table: LeaseTable) -> list[int]:
    """Hand the encode worker all that is its turn, and return the indices."""
    found = []
    while (lease := table.next_to_write()) is not None:
        found.append(lease.meta.index)
    return found


def test_frames_are_written_in_order_whatever_order_they_come_in() -> None:
    table = LeaseTable(FrameAccounting())
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
    table = LeaseTable(FrameAccounting())
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
    table = LeaseTable(FrameAccounting())
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
    table = LeaseTable(FrameAccounting())
    leases = open_frames(table, 5)
    table.fail(leases[0], "broken")
    table.drop(leases[3], "stale")
    for lease in (leases[1], leases[2], leases[4]):
        segmented(table, lease)
    assert written(table) == [1, 2, 4]
    table.fail(leases[2], "broken")  # by the encode worker
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
    table = LeaseTable(FrameAccounting())
    open_frames(table, 1)
    table.begin_section()
    leases = [*table, *open_frames(table, 2)]
    segmented(table, leases[0])
    table.fail(leases[1], "broken")
    segmented(table, leases[2])
    assert written(table) == [0, 2]
    assert [lease.begins_part for lease in leases] == [False, False, True]


def test_parts_begin_at_the_same_frames_when_they_are_written_once_more() -> None:
    table = LeaseTable(FrameAccounting())
    for _ in range(3):
        for lease in open_frames(table, 2):
            segmented(table, lease)
        table.begin_section()
    begins = []
    for _ in range(2):
        table.take_from_writer(0)
        written(table)
        begins.append([lease.meta.index for lease in table if lease.begins_part])
    table.release(3)
    table.take_from_writer(3)
    written(table)
    begins.append([lease.meta.index for lease in table if lease.begins_part])
    assert begins == [[2, 4], [2, 4], [4]]


def test_a_part_whose_first_frame_fails_in_the_sinks_begins_with_the_next_one() -> None:
    table = LeaseTable(FrameAccounting())
    open_frames(table, 1)
    table.begin_section()
    leases = [*table, *open_frames(table, 2)]
    for lease in leases:
        segmented(table, lease)
    written(table)
    table.fail(leases[1], "broken")
    table.take_from_writer(0)
    assert written(table) == [0, 2]
    assert leases[2].begins_part


def test_what_is_in_flight_is_counted_whatever_becomes_of_it() -> None:
    accounting = FrameAccounting()
    table = LeaseTable(accounting)
    leases = open_frames(table, 4)
    assert accounting.in_flight == 4
    table.fail(leases[0], "broken")
    table.drop(leases[1], "stale")
    table.skip(4, "rate")
    for lease in leases[2:]:
        segmented(table, lease)
    written(table)
    table.release(1)
    assert accounting.in_flight == 1
    assert (accounting.failed, accounting.dropped) == ({"broken": 1}, {"stale": 1, "rate": 1})


def test_a_frame_that_is_dropped_while_a_worker_has_it_is_abandoned() -> None:
    table = LeaseTable(FrameAccounting())
    waiting, held = open_frames(table, 2)
    table.hold(held)
    for lease in (waiting, held):
        table.drop(lease, "stale")
    assert [waiting.state, held.state] == [LeaseState.OUT, LeaseState.ABANDONED]
    table.note_returned(held)
    assert held.state is LeaseState.OUT


def test_durable_frames_are_remembered_part_by_part() -> None:
    table = LeaseTable(FrameAccounting())
    for lease, part in zip(open_frames(table, 5), (0, 0, 1, 1, 1), strict=True):
        segmented(table, lease)
        written(table)
        table.mark_written(lease.meta.index, part, SERVED)
    table.release(5)
    assert [(run.first.index, run.num_frames) for run in table.durable.runs] == [(0, 2), (2, 3)]
    assert table.durable.last is not None
    assert table.durable.last.index == 4


def test_frames_of_an_earlier_run_go_past_all_stages_but_the_last() -> None:
    table = resumed_table(2)
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


def test_an_audit_names_a_frame_that_is_missing() -> None:
    table = LeaseTable(FrameAccounting())
    leases = open_frames(table, 3)
    segmented(table, leases[0])
    table.note_vanished(leases[1])
    segmented(table, leases[2])
    assert written(table) == [0, 2]
    table.release(2)
    table.close(3)
    assert table.faults[0] == "frame 1 vanished in preprocess"
    assert "preprocess still has 1 frames in flight" in table.faults


def test_an_audit_names_frames_that_never_came() -> None:
    table = LeaseTable(FrameAccounting())
    for lease in open_frames(table, 2):
        segmented(table, lease)
    written(table)
    table.release(2)
    table.close(3)
    assert table.faults == [
        "frame 2 vanished in transit",
        "preprocess received 2 of 3 frames",
    ]


def test_a_frame_that_is_done_again_has_the_same_room() -> None:
    table = LeaseTable(FrameAccounting())
    (lease,) = open_frames(table, 1)
    lease.slot = Slot(0, 4096, 8192)
    assert lease.room() == (4096, 8192)
    table.hold(lease)
    table.hand_out_again(lease)
    assert lease.state is LeaseState.WAITING
    assert lease.room() == (4096, 8192)
