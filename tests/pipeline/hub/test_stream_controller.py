"""One stream from its workers' messages: phases, slots, losses, and its end."""

from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import pytest

from icstream.pipeline.hub.lease import LeaseState
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.stream_controller import StreamController
from icstream.pipeline.hub.supervisor import LostWorker
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import (
    BeginDecode,
    BeginEncode,
    CaughtUp,
    Closed,
    Decoded,
    Done,
    Ended,
    Finish,
    Grant,
    Opened,
    Ready,
    SinksOpened,
    Slot,
    SourceAccounting,
    Stop,
    WarmedUp,
    WireError,
    WireFrame,
    Work,
    Written,
)
from icstream.stages import FrameMeta
from icstream.stages.decode.source import SourceInfo
from icstream.stages.live.settings import LiveSettings
from support.hub_parts import GEOMETRY, SIZE, SPAN, Workers

INFO = SourceInfo("pts", Fraction(1, 25), None, SIZE)
WINDOW = 4


class Stream:
    """A stream whose workers are played by the test."""

    def __init__(
        self, plan: LivePlan | None = None, *, is_live: bool = False, is_open: bool = True
    ) -> None:
        self.workers = Workers()
        self.context = self.workers.context(window=WINDOW)
        self.state = self.workers.stream(plan=plan, is_live=is_live)
        self.controller = StreamController(self.state, self.context)
        if is_open:
            self.send("decode", Opened(INFO))
            self.warm_up()
            self.send("encode", SinksOpened(False, 0))

    def warm_up(self) -> None:
        """Let the network be ready for the stream's frames."""
        self.context.pools.dispatch()
        self.context.pools["segment"].take(self.workers.of("segment"), WarmedUp(SIZE), [])

    def send(self, kind: str, body: Any) -> None:
        """Let the worker of that kind send a message."""
        self.controller.take(self.workers.of(kind), body, [])

    def lose(self, kind: str, *, why: str = "killed by SIGKILL", crashed: bool = False) -> bool:
        """Let the worker of that kind be lost, and return whether the stream needs another."""
        self.controller.lose(LostWorker(self.workers.of(kind), why, crashed))
        return self.controller.needs(kind)

    def send_frames(self, *indices: int) -> None:
        """Let the decoder send frames."""
        for index in indices:
            accounting = SourceAccounting(index + 1, 0, index + 1, 0, {}, {})
            meta = FrameMeta("drive", index, index, Fraction(1, 25), SIZE)
            slot = Slot(index % WINDOW)
            self.send("decode", Decoded(index, slot, WireFrame(meta), accounting, SPAN))

    def end_source(self, num_frames: int, error: str | None = None) -> None:
        accounting = SourceAccounting(num_frames, 0, num_frames, 0, {}, {})
        self.send("decode", Ended(num_frames, accounting, error))

    def segment(self) -> None:
        """Let the shared workers finish all frames, and the encode worker have them."""
        for kind in ("preprocess", "segment"):
            for lease in self.state.leases:
                if lease.stage == kind:
                    self.context.pools.dispatch()
                    done = Done("drive", lease.meta.index, GEOMETRY, (), SPAN)
                    self.context.pools[kind].take(self.workers.of(kind), done, [])
        self.controller.send_to_encoder()

    def phase(self) -> Phase:
        return self.state.phase


def test_a_stream_goes_from_opening_to_closed() -> None:
    stream = Stream(is_open=False)
    phases = [stream.phase()]
    stream.send("decode", Opened(INFO))
    stream.warm_up()
    phases.append(stream.phase())
    stream.send("encode", SinksOpened(False, 0))
    phases.append(stream.phase())
    stream.send_frames(0, 1, 2)
    stream.end_source(3)
    phases.append(stream.phase())
    stream.segment()
    phases.append(stream.phase())
    stream.send("encode", Written(0, 0, 1, SPAN))
    stream.send("encode", Closed(3, {}))
    phases.append(stream.phase())
    opening, reading, draining = Phase.OPENING, Phase.READING, Phase.DRAINING
    assert phases == [opening, opening, reading, draining, Phase.CLOSING, Phase.CLOSED]
    assert stream.workers.sent_to("decode") == [BeginDecode, Grant, Stop]
    assert stream.workers.sent_to("encode") == [BeginEncode, Work, Work, Work, Finish, Stop]
    assert stream.state.faults() == []
    assert stream.state.accounting.encoded == 3
    assert stream.state.error is None


def test_slots_come_back_when_frames_are_durable() -> None:
    stream = Stream()
    stream.send_frames(0, 1, 2, 3)
    stream.segment()
    num_grants = stream.workers.sent_to("decode").count(Grant)
    stream.send("encode", Written(0, 0, 0, SPAN))
    assert stream.workers.sent_to("decode").count(Grant) == num_grants
    stream.send("encode", Written(1, 0, 2, SPAN))
    assert stream.workers.sent_to("decode").count(Grant) == num_grants + 1


def test_a_frame_in_a_slot_that_was_not_granted_is_refused() -> None:
    stream = Stream()
    stream.send_frames(0, 1, 2, 3)
    with pytest.raises(WireError, match="slot 0 was filled and not granted"):
        stream.send_frames(4)


def test_a_message_of_another_kind_of_worker_is_refused() -> None:
    stream = Stream()
    with pytest.raises(WireError, match="encode drive sent Opened"):
        stream.send("encode", Opened(INFO))
    with pytest.raises(WireError, match="decode drive sent Ready"):
        stream.send("decode", Ready())


def test_a_stream_that_is_stopped_waits_for_what_the_decoder_has_begun() -> None:
    stream = Stream()
    stream.send_frames(0)
    stream.controller.end(to=Phase.STOPPING)
    assert stream.workers.sent_to("decode")[-1] is Finish
    assert stream.phase() is Phase.STOPPING
    stream.send_frames(1)
    stream.end_source(2)
    stream.segment()
    assert stream.workers.sent_to("encode")[-3:] == [Work, Work, Finish]


def test_a_decoder_that_was_asked_to_finish_is_not_replaced() -> None:
    stream = Stream()
    stream.send_frames(0)
    stream.controller.end(to=Phase.STOPPING)
    assert not stream.lose("decode")
    assert stream.phase() is Phase.DRAINING
    assert stream.state.accounting.in_flight == 1


def test_a_decoder_that_is_lost_before_is_replaced_and_goes_on() -> None:
    stream = Stream()
    stream.send_frames(0, 1)
    assert stream.lose("decode")
    stream.controller.replace("decode")
    assert stream.phase() is Phase.READING
    stream.send("decode", Opened(INFO))
    begins = [body for _, body in stream.workers.sent if isinstance(body, BeginDecode)]
    assert (begins[-1].skip_items, begins[-1].first_image) == (2, 2)
    stream.send_frames(2, 3)
    assert stream.state.accounting.in_flight == 4


def test_what_is_in_flight_outlives_the_source() -> None:
    stream = Stream()
    stream.send_frames(0)
    stream.controller.end("drive.mp4: no such file", to=Phase.DRAINING)
    assert stream.phase() is Phase.DRAINING
    assert stream.state.error == "drive.mp4: no such file"
    assert stream.state.accounting.in_flight == 1
    assert not stream.state.broken


def test_a_lost_encode_worker_gets_its_frames_again_even_while_it_closes() -> None:
    stream = Stream()
    stream.send_frames(0, 1)
    stream.end_source(2)
    stream.segment()
    assert stream.phase() is Phase.CLOSING
    assert stream.lose("encode")
    assert stream.phase() is Phase.DRAINING
    stream.controller.replace("encode")
    stream.controller.send_to_encoder()
    stream.send("encode", SinksOpened(False, 1))
    stream.controller.send_to_encoder()
    assert stream.workers.sent_to("encode")[-2:] == [BeginEncode, Work]
    stream.send("encode", Written(0, 0, 1, SPAN))
    stream.controller.send_to_encoder()
    assert stream.workers.sent_to("encode")[-2:] == [Work, Finish]
    stream.send("encode", Closed(2, {}))
    assert stream.phase() is Phase.CLOSED
    assert stream.state.faults() == []


@pytest.mark.parametrize(("crashed", "times"), [(True, 3), (False, 5)])
def test_a_frame_that_no_encode_worker_survives_fails_alone(crashed: bool, times: int) -> None:
    stream = Stream()
    stream.send_frames(0, 1, 2, 3)
    stream.segment()
    for num_lost in range(1, times + 1):
        # The news that frame 0 is written is lost with the first worker, as may happen.
        if num_lost > 1:
            stream.send("encode", Written(0, 0, 0, SPAN))
            stream.controller.send_to_encoder()
        assert stream.state.accounting.failed == {}
        assert stream.lose("encode", why="spent 61 s on one frame", crashed=crashed)
        stream.controller.replace("encode")
        stream.send("encode", SinksOpened(False, 0))
        stream.controller.send_to_encoder()
    stream.send("encode", Written(0, 0, 0, SPAN))
    stream.controller.send_to_encoder()
    assert stream.lose("encode", why="spent 61 s on one frame", crashed=crashed)
    assert stream.state.accounting.failed == {"encode crashed": 1}
    assert [gap.index for gap in stream.state.gaps] == [1]
    assert stream.phase() is Phase.READING


@pytest.mark.parametrize(("kind", "left_out"), [("video", [(2, 1), (2, 32)]), ("other", [])])
def test_what_no_decoder_survives_is_left_out(
    kind: Literal["video", "other"], left_out: list[tuple[int, int]]
) -> None:
    stream = Stream()
    stream.state.spec = replace(stream.state.spec, kind=kind)
    stream.send("decode", CaughtUp())
    stream.send_frames(0, 1)
    for num_lost in range(1, 5):
        is_over = num_lost >= 3 and kind == "other"
        assert stream.lose("decode", why="killed by SIGSEGV", crashed=True) != is_over
        if is_over:
            break
        stream.controller.replace("decode")
        stream.send("decode", Opened(INFO))
        stream.send("decode", CaughtUp())
    begins = [body for _, body in stream.workers.sent if isinstance(body, BeginDecode)]
    found = [(entry.after, entry.num_groups) for body in begins for entry in body.left_out]
    assert found == left_out
    error = "decode drive: killed by SIGSEGV, repeatedly at frame 2"
    assert stream.state.error == (None if kind == "video" else error)


def test_a_decoder_that_is_lost_on_its_way_to_its_place_is_not_held_up_by_it() -> None:
    stream = Stream()
    stream.send_frames(0, 1)
    for _ in range(9):
        assert stream.lose("decode", crashed=True)
        stream.controller.replace("decode")
        stream.send("decode", Opened(INFO))
    begins = [body for _, body in stream.workers.sent if isinstance(body, BeginDecode)]
    assert all(body.left_out == [] for body in begins)


@pytest.mark.parametrize("to", [Phase.STOPPING, Phase.DRAINING, Phase.CLOSING, Phase.CLOSED])
def test_a_stream_that_has_had_no_frames_is_closed_at_once(to: Phase) -> None:
    stream = Stream(is_open=False)
    stream.controller.end("it is gone", to=to)
    assert stream.phase() is Phase.CLOSED
    assert [stream.workers.sent_to(kind) for kind in ("decode", "encode")] == [[Stop], [Stop]]
    assert not stream.controller.owns(stream.workers.of("decode"))
    assert (stream.state.error, stream.state.source_status.state) == ("it is gone", "ended")


def test_a_stream_that_is_cut_off_writes_what_the_encode_worker_has() -> None:
    stream = Stream()
    stream.send_frames(0, 1)
    stream.segment()
    stream.send_frames(2)
    stream.controller.end(to=Phase.STOPPING)
    stream.controller.end(to=Phase.CLOSING)
    assert stream.workers.sent_to("encode")[-1] is Finish
    assert stream.phase() is Phase.CLOSING
    stream.controller.end(to=Phase.CLOSING)
    assert stream.workers.sent_to("encode").count(Finish) == 1
    stream.send("encode", Closed(2, {}))
    assert stream.state.accounting.dropped == {"stopped": 1}
    assert stream.state.faults() == []


def test_a_stream_without_an_encode_worker_is_closed_when_it_is_cut_off() -> None:
    stream = Stream()
    stream.send_frames(0)
    stream.lose("encode")
    stream.controller.end(to=Phase.CLOSING)
    assert stream.phase() is Phase.CLOSED
    assert stream.state.accounting.dropped == {"stopped": 1}


def test_the_slot_of_a_frame_that_a_worker_has_is_kept_until_it_lets_go() -> None:
    stream = Stream()
    stream.send_frames(0)
    stream.context.pools.dispatch()
    (lease,) = stream.state.leases
    stream.controller.frames.drop(lease, "stale")
    stream.controller.frames.release_slot(lease)
    assert lease.state is LeaseState.ABANDONED
    stream.send_frames(1, 2, 3)
    with pytest.raises(WireError, match="not granted"):
        stream.send_frames(4)


def test_only_the_first_error_counts_and_none_after_the_end() -> None:
    stream = Stream()
    stream.send_frames(0)
    stream.controller.end("first", to=Phase.DRAINING)
    stream.controller.end("second", to=Phase.CLOSED, broken=True)
    assert (stream.state.error, stream.state.broken) == ("first", True)
    done = Stream(is_open=False)
    done.controller.end(to=Phase.CLOSED)
    done.controller.end("too late", to=Phase.CLOSED, broken=True)
    assert (done.state.error, done.state.broken) == (None, False)


def test_sinks_that_hold_back_the_whole_window_end_the_stream() -> None:
    stream = Stream()
    stream.send_frames(0, 1, 2, 3)
    stream.segment()
    for index in range(4):
        stream.send("encode", Written(index, 0, 0, SPAN))
    assert stream.phase() is Phase.CLOSED
    assert stream.state.broken
    assert "increase pipeline.window" in (stream.state.error or "")


def test_the_oldest_frame_makes_room_where_only_the_freshest_count() -> None:
    stream = Stream(LivePlan(freshest=True, settings=LiveSettings(max_age_s=1e9)))
    stream.send_frames(0, 1, 2, 3)
    assert stream.state.accounting.dropped == {"stale": 1}
    assert stream.state.leases.get(0) is None
    stream.send("decode", frame_in(0))
    assert stream.state.accounting.in_flight == 3


def frame_in(slot: int) -> Decoded:
    """Return frame 4, in a slot that was another's."""
    meta = FrameMeta("drive", 4, 4, Fraction(1, 25), SIZE)
    return Decoded(4, Slot(slot), WireFrame(meta), SourceAccounting(5, 0, 5, 0, {}, {}), SPAN)


def test_a_live_source_connects_once_somebody_can_take_its_frames() -> None:
    stream = Stream(LivePlan(freshest=True), is_live=True, is_open=False)
    decoder = stream.workers.of("decode")
    decoder.ready = True
    stream.controller.tick()
    assert stream.workers.sent_to("decode") == []
    stream.send("encode", SinksOpened(False, 0))
    assert stream.workers.sent_to("decode") == [BeginDecode]
    stream.send("decode", Opened(INFO))
    stream.controller.tick()
    assert stream.workers.sent_to("decode") == [BeginDecode]  # the network prepares for the size
    assert stream.phase() is Phase.OPENING
    stream.warm_up()
    stream.controller.tick()
    assert stream.workers.sent_to("decode") == [BeginDecode, Grant]
    assert stream.phase() is Phase.READING


def test_a_live_source_stops_when_its_time_is_over() -> None:
    plan = LivePlan(freshest=True, settings=LiveSettings(duration_s=1e-9))
    stream = Stream(plan, is_live=True)
    stream.workers.of("decode").ready = True
    stream.controller.tick()
    stream.controller.tick()
    assert stream.workers.sent_to("decode")[-1] is Finish
    assert stream.phase() is Phase.STOPPING


def test_a_file_that_states_too_many_pixels_takes_no_memory_and_prepares_nothing() -> None:
    stream = Stream(is_open=False)
    stream.send("encode", SinksOpened(False, 0))
    stream.send("decode", Opened(SourceInfo("pts", Fraction(1, 25), None, (15_000, 15_000))))
    stream.context.pools.dispatch()
    assert stream.phase() is Phase.CLOSED
    wanted = "x.mp4: 15000x15000 pixels are more than the allowed 67108864"
    assert (stream.state.error, stream.state.broken) == (wanted, False)
    assert stream.workers.sent_to("segment") == []
    assert stream.context.slots.num_bytes == 0
