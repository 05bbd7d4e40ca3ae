"""Packets and frames matched by number: every packet ends up under exactly one heading."""

from collections import Counter

from icstream.stages import FrameAccounting
from icstream.stages.decode.packet_tracker import PacketTracker, SentPacket


def tracker_of(*times: int | None, patience: int = 8) -> tuple[PacketTracker, FrameAccounting]:
    """Return a tracker that has sent packets of these times, numbered from 1."""
    accounting = FrameAccounting()
    tracker = PacketTracker(accounting, patience=patience)
    for pts in times:
        tracker.sent(tracker.read(), pts)
    return tracker, accounting


def balances(accounting: FrameAccounting, *, decoded: int) -> bool:
    accounting.decoded = accounting.encoded = decoded
    return accounting.faults() == []


def test_frames_may_come_in_any_order() -> None:
    tracker, accounting = tracker_of(0, 3, 1, 2)
    assert (accounting.packets, accounting.in_decoder) == (4, 4)
    assert all(tracker.came(number) for number in (1, 3, 4, 2))
    assert accounting.in_decoder == 0
    assert balances(accounting, decoded=4)


def test_a_second_frame_of_one_packet_is_none_of_its_own() -> None:
    tracker, accounting = tracker_of(0)
    assert tracker.came(1)
    assert not tracker.came(1)
    assert not tracker.came(None)
    assert accounting.in_decoder == 0


def test_numbers_go_on_from_an_earlier_reading() -> None:
    accounting = FrameAccounting(packets=7, undecodable=Counter(lost=7))
    tracker = PacketTracker(accounting, patience=8)
    number = tracker.read()
    tracker.sent(number, 0)
    assert number == 8
    assert tracker.came(8)
    assert balances(accounting, decoded=1)


def test_a_refused_packet_is_the_last_one() -> None:
    tracker, accounting = tracker_of(0, 1)
    assert tracker.refused() == SentPacket(1, False)
    assert tracker.refused() is None
    tracker.lost("damaged packet")
    assert tracker.came(1)
    assert balances(accounting, decoded=1)


def test_a_packet_that_was_read_and_not_sent_is_never_waited_for() -> None:
    tracker, accounting = tracker_of()
    tracker.read()
    tracker.without_frame("before the first key frame")
    assert tracker.refused() is None
    assert list(tracker.rest()) == []
    assert balances(accounting, decoded=0)


def test_packets_are_given_up_after_so_many_others() -> None:
    tracker, accounting = tracker_of(0, 1, 2, 3, 4, patience=3)
    overdue = []
    for sent in tracker.overdue():
        overdue.append(sent.pts)
        assert accounting.in_decoder == 5 - len(overdue)
        tracker.lost("no picture from the decoder")
    assert overdue == [0, 1]
    assert not tracker.came(1), "its frame comes too late"
    assert [sent.pts for sent in tracker.rest()] == [2, 3, 4]
    assert accounting.in_decoder == 0


def test_what_is_outside_the_edit_list_stays_known() -> None:
    tracker, _ = tracker_of()
    tracker.sent(tracker.read(), 5, is_discard=True)
    assert list(tracker.rest()) == [SentPacket(5, True)]


def test_what_the_decoder_holds_when_reading_stops_has_no_frame() -> None:
    tracker, accounting = tracker_of(0, 1, 2)
    assert tracker.came(2)
    tracker.stopped("connection ended")
    tracker.stopped("connection ended")
    assert accounting.without_frame == {"connection ended": 2}
    assert balances(accounting, decoded=1)


def test_stopping_with_nothing_in_the_decoder_adds_no_heading() -> None:
    tracker, accounting = tracker_of()
    tracker.stopped("stopped")
    assert accounting.without_frame == {}
