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
from icstream.pipeline.hub.stream_controller import ControllerContext, StreamController
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import Deadlines, Supervisor
from icstream.pipeline.run.runtime_dir import RuntimeDir
from icstream.pipeline.wire.messages import Finish, Message, Slot, StageSpan
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

    def controller(self) -> StreamController:
        """Gives a stream that is being read, with one frame in flight."""
        (spec,) = find_sources(["synthetic:"])
        stream = StreamState(
            spec, lambda: self.start("decode"), lambda _: self.start("encode"), resumes=False
        )
        context = ControllerContext(
            window=4,
            slots=SlotPool(None, fit=Fit(), num_classes=2),
            send=lambda worker, body, payload=None: self.told.append((worker.kind, body)),
            enqueue=lambda controller, lease: None,
            withdraw=lambda controller, lease: None,
            is_staffed=lambda: True,
            on_frame=lambda stream, lease: None,
        )
        controller = StreamController(stream, context)
        controller.reading = stream.reading = controller.workers["decode"].ready = True
        stream.accounting.in_flight = 1
        meta = FrameMeta(stream.name, 0, 0, Fraction(1, 25), (64, 96))
        stream.leases.open(meta, Slot(0), StageSpan(0, 1))
        return controller


@pytest.fixture
def started() -> Iterator[Started]:
    """Gives what starts workers, and ends them."""
    found = Started()
    yield found
    for worker in found.workers:
        worker.kill()


def test_a_decoder_that_was_told_to_stop_is_not_started_again(started: Started) -> None:
    controller = started.controller()
    controller.stop_reading()
    assert started.told == [("decode", Finish())]
    assert not controller.lose(controller.workers["decode"])
    assert controller.ended
    assert not controller.over
    assert controller.stream.accounting.in_flight == 1


def test_a_decoder_that_is_lost_before_is_started_again(started: Started) -> None:
    controller = started.controller()
    assert controller.lose(controller.workers["decode"])
    assert not controller.ended


def test_what_is_in_flight_outlives_the_source(started: Started) -> None:
    controller = started.controller()
    controller.end_reading("drive.mp4: no such file")
    assert controller.ended
    assert not controller.over
    assert controller.stream.error == "drive.mp4: no such file"
    assert controller.stream.accounting.in_flight == 1


@pytest.mark.parametrize("full", ["preprocess", "decode", "view", "stream"])
def test_a_run_ends_in_order_where_no_process_can_be_started(full: str) -> None:
    with RuntimeDir("ipc") as runtime_dir:
        num_started = 0

        def start(kind: str) -> Worker:
            nonlocal num_started
            num_started += kind == full
            if num_started > 1 or (full == "stream" and kind == "encode"):
                raise NO_ROOM
            worker = runtime_dir.processes.start(kind, "0", b"{}", threads=1)
            worker.process.kill()
            return worker

        (spec,) = find_sources(["synthetic:"])
        hub = Hub(
            HubSettings(window=4, max_streams=1, stop_s=1, replicas=1, preprocess_workers=1),
            socket=runtime_dir.socket,
            supervisor=Supervisor(
                runtime_dir.processes, Deadlines(9, 9, 9), restarts_per_minute=100
            ),
            slots=SlotPool(None, fit=Fit(), num_classes=2),
            start_preprocess=lambda _: start("preprocess"),
            start_segment=lambda _: start("segment"),
            start_others={"view": lambda: start("view")},
            on_frame=lambda stream, lease: None,
            on_tick=lambda: None,
        )
        stream = StreamState(
            spec, lambda: start("decode"), lambda _: start("encode"), resumes=False
        )
        hub.run([stream], should_stop=lambda: False)
        hub.end()
    named = f"{full} 0: cannot be started again"
    if full == "stream":
        named = "synthetic: its workers cannot be started"
    assert hub.error == f"{named}: {NO_ROOM.strerror}"
    assert stream.faults() == []
