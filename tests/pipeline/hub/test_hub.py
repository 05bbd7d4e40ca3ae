"""What a run does when its workers cannot go on, and no others can be started."""

import errno
import os
import subprocess
from collections.abc import Iterator
from fractions import Fraction

import pytest

from icstream.model import Fit
from icstream.pipeline.hub.hub import Hub, HubSettings
from icstream.pipeline.hub.processes import Worker
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_controller import Flow, FlowContext
from icstream.pipeline.hub.stream_state import Stream
from icstream.pipeline.hub.supervisor import Deadlines, Supervisor
from icstream.pipeline.run.runtime_dir import Site
from icstream.pipeline.wire.messages import Finish, Message, Served, Slot
from icstream.stages import FrameMeta
from icstream.stages.decode.find import find_sources

NO_ROOM = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


class Started:
    """Workers that were started; each waits for nothing until it is killed."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.told: list[tuple[str, Message]] = []

    def start(self, kind: str) -> Worker:
        """Starts one."""
        process = subprocess.Popen(["sleep", "60"], stderr=subprocess.PIPE)
        self.workers.append(Worker(kind, kind, kind.encode(), process))
        return self.workers[-1]

    def flow(self) -> Flow:
        """Gives a stream that is being read, with one frame in flight."""
        (spec,) = find_sources(["synthetic:"])
        stream = Stream(
            spec, lambda: self.start("decode"), lambda _: self.start("encode"), resumes=False
        )
        context = FlowContext(
            window=4,
            slots=SlotPool(None, fit=Fit(), num_classes=2),
            send=lambda worker, body, payload=None: self.told.append((worker.kind, body)),
            enqueue=lambda flow, lease: None,
            withdraw=lambda flow, lease: None,
            is_staffed=lambda: True,
            on_frame=lambda stream, lease: None,
        )
        flow = Flow(stream, context)
        flow.reading = stream.reading = flow.workers["decode"].ready = True
        stream.books.in_flight = 1
        meta = FrameMeta(stream.name, 0, 0, Fraction(1, 25), (64, 96))
        stream.ledger.open(meta, Slot(0), Served(0, 1))
        return flow


@pytest.fixture
def started() -> Iterator[Started]:
    """Gives what starts workers, and ends them."""
    found = Started()
    yield found
    for worker in found.workers:
        worker.kill()


def test_a_decoder_that_was_told_to_stop_is_not_started_again(started: Started) -> None:
    flow = started.flow()
    flow.stop_reading()
    assert started.told == [("decode", Finish())]
    assert not flow.lose(flow.workers["decode"])
    assert flow.ended
    assert not flow.over
    assert flow.stream.books.in_flight == 1


def test_a_decoder_that_is_lost_before_is_started_again(started: Started) -> None:
    flow = started.flow()
    assert flow.lose(flow.workers["decode"])
    assert not flow.ended


def test_what_is_in_flight_outlives_the_source(started: Started) -> None:
    flow = started.flow()
    flow.end_reading("drive.mp4: no such file")
    assert flow.ended
    assert not flow.over
    assert flow.stream.error == "drive.mp4: no such file"
    assert flow.stream.books.in_flight == 1


@pytest.mark.parametrize("full", ["preprocess", "decode", "view", "stream"])
def test_a_run_ends_in_order_where_no_process_can_be_started(full: str) -> None:
    with Site("ipc") as site:
        num_started = 0

        def start(kind: str) -> Worker:
            nonlocal num_started
            num_started += kind == full
            if num_started > 1 or (full == "stream" and kind == "encode"):
                raise NO_ROOM
            worker = site.processes.start(kind, "0", b"{}", threads=1)
            worker.process.kill()
            return worker

        (spec,) = find_sources(["synthetic:"])
        hub = Hub(
            HubSettings(window=4, max_streams=1, stop_s=1, replicas=1, preprocess_workers=1),
            socket=site.socket,
            supervisor=Supervisor(site.processes, Deadlines(9, 9, 9), restarts_per_minute=100),
            slots=SlotPool(None, fit=Fit(), num_classes=2),
            start_preprocess=lambda _: start("preprocess"),
            start_segment=lambda _: start("segment"),
            start_others={"view": lambda: start("view")},
            on_frame=lambda stream, lease: None,
            on_tick=lambda: None,
        )
        stream = Stream(spec, lambda: start("decode"), lambda _: start("encode"), resumes=False)
        hub.run([stream], should_stop=lambda: False)
        hub.end()
    named = f"{full} 0: cannot be started again"
    if full == "stream":
        named = "synthetic: its workers cannot be started"
    assert hub.error == f"{named}: {NO_ROOM.strerror}"
    assert stream.faults() == []
