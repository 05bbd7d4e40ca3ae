"""What a run does when workers give up, are lost, or cannot be started; and how it ends."""

import errno
import os
import time
from fractions import Fraction
from itertools import pairwise

import pytest

from icstream.pipeline.hub import shutdown
from icstream.pipeline.hub.active_streams import ActiveStreams
from icstream.pipeline.hub.phase import Phase
from icstream.pipeline.hub.recovery import Recovery
from icstream.pipeline.hub.shutdown import Shutdown
from icstream.pipeline.hub.supervisor import LostWorker
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import (
    Decoded,
    Fault,
    Finish,
    Opened,
    SinksOpened,
    Slot,
    SourceAccounting,
    Stop,
    WarmedUp,
    WireFrame,
)
from icstream.stages import FrameMeta
from icstream.stages.decode.source import SourceInfo
from support.hub_parts import SIZE, SPAN, Workers

NO_ROOM = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


class Run:
    """A run with one stream that has one frame in flight, and a view."""

    def __init__(self, *, is_live: bool = False) -> None:
        self.workers = Workers()
        self.context = self.workers.context()
        self.streams = ActiveStreams(self.context)
        self.stream = self.workers.stream(is_live=is_live)
        self.streams.begin(self.stream)
        self.shutdown = Shutdown(self.streams)
        self.recovery = Recovery(
            streams=self.streams,
            pools=self.context.pools,
            start_others={"view": self.start_view},
            max_restarts=2,
            shutdown=self.shutdown,
            send=self.workers.send,
        )
        self.start_view()
        self.send("decode", Opened(SourceInfo("pts", Fraction(1, 25), None, SIZE)))
        self.context.pools["segment"].take(self.workers.of("segment"), WarmedUp(SIZE), [])
        self.send("encode", SinksOpened(False, 0))
        meta = FrameMeta("drive", 0, 0, Fraction(1, 25), SIZE)
        accounting = SourceAccounting(1, 0, 1, 0, {}, {})
        self.send("decode", Decoded(0, Slot(0), WireFrame(meta), accounting, SPAN))

    def start_view(self) -> Worker:
        return self.workers.start("view")

    def send(self, kind: str, body: object) -> None:
        controller = self.streams.owner(self.workers.of(kind))
        assert controller is not None
        controller.take(self.workers.of(kind), body, [])

    def lose(self, kind: str, *, times: int = 1) -> None:
        for _ in range(times):
            self.recovery.take_loss(LostWorker(self.workers.of(kind), "killed", False))

    def phase(self) -> Phase:
        return self.stream.phase


@pytest.mark.parametrize("kind", ["decode", "preprocess", "segment", "encode", "view"])
def test_a_lost_worker_is_replaced(kind: str) -> None:
    run = Run()
    before = run.workers.of(kind)
    run.lose(kind)
    assert run.workers.of(kind) is not before
    assert run.shutdown.error is None
    assert run.phase() is Phase.READING
    assert run.stream.accounting.in_flight == 1


@pytest.mark.parametrize(
    ("kind", "phase", "error"),
    [
        ("decode", Phase.DRAINING, None),
        ("encode", Phase.CLOSED, None),
        ("segment", Phase.STOPPING, "segment 0: killed, lost 3 times in a row"),
        ("view", Phase.READING, None),
    ],
)
def test_what_needs_a_worker_that_is_lost_too_often_ends(
    kind: str, phase: Phase, error: str | None
) -> None:
    run = Run()
    run.lose(kind, times=2)
    before = run.workers.of(kind)
    run.lose(kind)
    assert run.workers.of(kind) is before
    assert (run.phase(), run.shutdown.error) == (phase, error)
    assert run.stream.broken == (kind in ("decode", "encode"))


def test_restarts_with_something_gained_in_between_are_not_counted() -> None:
    run = Run()
    for _ in range(20):
        run.workers.of("segment").gain()
        run.lose("segment")
    assert run.shutdown.error is None


@pytest.mark.parametrize("kind", ["decode", "encode", "segment"])
def test_a_live_stream_is_tried_again_for_ever_and_ever_more_slowly(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    run = Run(is_live=True)
    run.stream.accounting.encoded = 1
    starts_s = []
    for _ in range(12):
        before = run.workers.of(kind)
        run.lose(kind)
        while run.workers.of(kind) is before:
            run.recovery.tick()
            now_s += 1
        starts_s.append(now_s)
    waits_s = [after - before for before, after in pairwise(starts_s)]
    assert waits_s[:1] == [0]
    assert waits_s[1:] == sorted(waits_s[1:])
    assert 60 <= waits_s[-1] <= 62
    assert (run.shutdown.error, run.stream.error) == (None, None)


@pytest.mark.parametrize(
    ("kind", "phase", "error"),
    [
        ("decode", Phase.DRAINING, None),
        ("encode", Phase.CLOSED, None),
        ("segment", Phase.STOPPING, "segment 0: it is broken"),
        ("view", Phase.READING, None),
    ],
)
def test_what_needs_a_worker_that_gives_up_ends(kind: str, phase: Phase, error: str | None) -> None:
    run = Run()
    run.recovery.take_fault(run.workers.of(kind), Fault("config", "it is broken", {}))
    assert (run.phase(), run.shutdown.error) == (phase, error)
    assert run.stream.error == (None if kind in ("segment", "view") else "it is broken")


def test_a_full_disk_ends_all_streams() -> None:
    run = Run()
    run.recovery.take_fault(run.workers.of("encode"), Fault("output", "no space left", {}))
    assert run.shutdown.has_begun
    assert run.shutdown.error is None  # it is the stream's
    assert (run.stream.error, run.stream.broken) == ("no space left", True)


def test_a_run_ends_where_a_lost_worker_cannot_be_replaced() -> None:
    run = Run()

    def fail() -> Worker:
        raise NO_ROOM

    run.stream.start_decode = fail
    run.lose("decode")
    assert run.shutdown.error == f"decode drive: cannot be restarted: {NO_ROOM.strerror}"
    assert run.phase() is Phase.DRAINING
    assert run.stream.accounting.in_flight == 1


def test_a_run_stops_then_closes_its_files_then_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    run.streams.waiting.append(run.workers.stream("other"))
    run.shutdown.begin(drain_s=60)
    run.shutdown.tick()
    assert not run.streams.waiting
    assert run.phase() is Phase.STOPPING
    run.shutdown.begin("no process can be started", drain_s=-1)
    monkeypatch.setattr(shutdown, "_MAX_CLOSE_S", -1)
    run.shutdown.tick()
    assert run.phase() is Phase.CLOSING
    assert run.workers.sent_to("encode")[-1] is Finish
    run.shutdown.tick()
    assert run.phase() is Phase.CLOSED
    assert run.workers.sent_to("encode")[-1] is Stop
    assert run.shutdown.error == "no process can be started"
    assert run.stream.accounting.dropped == {"stopped": 1}
    run.streams.remove_closed()
    assert not run.streams


def test_a_frame_that_no_worker_has_is_given_up_and_named() -> None:
    run = Run()
    (lease,) = run.stream.leases
    run.streams.audit()
    assert run.stream.leases.faults == []
    run.context.pools.withdraw(run.stream, lease)
    run.streams.audit()
    assert run.stream.leases.faults == ["frame 0 vanished in preprocess"]


def test_frames_of_a_stream_that_is_over_only_give_back_their_slots() -> None:
    run = Run()
    run.context.pools.dispatch()
    run.shutdown.begin(drain_s=-1)
    for controller in run.streams:
        controller.end(to=Phase.CLOSED)
    run.streams.remove_closed()
    run.lose("preprocess")
    assert run.stream.faults() == []
