"""Whose turn it is at the workers that streams share."""

import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from icstream.model import Fit
from icstream.pipeline.hub.fair_queue import FairQueue
from icstream.pipeline.hub.lease_table import Lease
from icstream.pipeline.hub.processes import Worker
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_controller import ControllerContext, StreamController
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import Slot, StageSpan
from icstream.stages import FrameMeta
from icstream.stages.decode.find import SourceSpec


class RuntimeDir:
    """Streams whose workers sleep, and the queue at the workers that they share."""

    def __init__(self) -> None:
        self.turns = FairQueue()
        self._workers: list[Worker] = []
        self._context = ControllerContext(
            window=8,
            slots=SlotPool(None, fit=Fit(), num_classes=2),
            send=lambda *_: None,
            enqueue=self.turns.add,
            withdraw=self.turns.remove,
            is_staffed=lambda: True,
            on_frame=lambda *_: None,
        )

    def controller(self, name: str, *, freshest: bool = False) -> StreamController:
        spec = SourceSpec(name, "video", (Path("x.mp4"),), "x.mp4")
        pace = LivePlan(freshest=freshest)
        stream = StreamState(spec, self._worker, lambda _: self._worker(), False, pace=pace)
        return StreamController(stream, self._context)

    def come(self, controller: StreamController, *indices: int) -> None:
        """Lets frames wait."""
        for index in indices:
            meta = FrameMeta(controller.stream.name, index, index, Fraction(1, 25), (64, 64))
            controller.stream.accounting.decoded += 1
            controller.stream.accounting.in_flight += 1
            self.turns.add(
                controller, controller.stream.leases.open(meta, Slot(index), StageSpan(0, 0))
            )

    def take(self) -> tuple[str, int] | None:
        controller = self.turns.next_stream()
        return (
            None
            if controller is None
            else (controller.stream.name, self.turns.take(controller).meta.index)
        )

    def take_all(self) -> list[tuple[str, int]]:
        return list(iter(self.take, None))

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()

    def _worker(self) -> Worker:
        process = subprocess.Popen(["sleep", "60"], stderr=subprocess.PIPE)
        self._workers.append(Worker("decode", "sleeper", b"", process))
        return self._workers[-1]


@pytest.fixture
def runtime_dir() -> Iterator[RuntimeDir]:
    runtime_dir = RuntimeDir()
    yield runtime_dir
    runtime_dir.close()


def test_streams_take_turns_however_many_frames_each_has(runtime_dir: RuntimeDir) -> None:
    a, b, c = runtime_dir.controller("a"), runtime_dir.controller("b"), runtime_dir.controller("c")
    runtime_dir.come(a, 0, 1, 2, 3)
    runtime_dir.come(b, 0)
    runtime_dir.come(c, 0, 1)
    order = [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2), ("a", 3)]
    assert runtime_dir.take_all() == order


def test_the_newest_frame_overtakes_those_before_it(runtime_dir: RuntimeDir) -> None:
    fresh, whole = runtime_dir.controller("fresh", freshest=True), runtime_dir.controller("whole")
    runtime_dir.come(fresh, 0, 1, 2)
    runtime_dir.come(whole, 0, 1)
    assert runtime_dir.take_all() == [("fresh", 2), ("whole", 0), ("whole", 1)]
    assert dict(fresh.stream.accounting.dropped) == {"stale": 2}
    assert fresh.stream.accounting.in_flight == 1
    assert not whole.stream.accounting.dropped


def test_what_is_handed_out_again_goes_before_all_others(runtime_dir: RuntimeDir) -> None:
    a, b = runtime_dir.controller("a"), runtime_dir.controller("b")
    runtime_dir.come(a, 0, 1)
    runtime_dir.come(b, 0)
    lease: Lease = runtime_dir.turns.take(a)
    runtime_dir.turns.put_back(a, lease)
    assert runtime_dir.take_all() == [("a", 0), ("b", 0), ("a", 1)]


def test_a_frame_that_is_taken_out_is_not_there_any_more(runtime_dir: RuntimeDir) -> None:
    a = runtime_dir.controller("a")
    runtime_dir.come(a, 0, 1)
    lease = a.stream.leases.get(0)
    assert lease is not None
    assert (a, lease) in runtime_dir.turns
    a.drop(lease, "stopped")
    assert (a, lease) not in runtime_dir.turns
    assert runtime_dir.take_all() == [("a", 1)]
