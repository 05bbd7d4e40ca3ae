"""Whose turn it is at the workers that streams share."""

import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from icstream.model import Fit
from icstream.pipeline.hub.fair_queue import Turns
from icstream.pipeline.hub.lease_table import Lease
from icstream.pipeline.hub.processes import Worker
from icstream.pipeline.hub.slots import SlotPool
from icstream.pipeline.hub.stream_controller import Flow, FlowContext
from icstream.pipeline.hub.stream_state import Stream
from icstream.pipeline.plan.live import Pace
from icstream.pipeline.wire.messages import Served, Slot
from icstream.stages import FrameMeta
from icstream.stages.decode.find import SourceSpec


class Site:
    """Streams whose workers sleep, and the queue at the workers that they share."""

    def __init__(self) -> None:
        self.turns = Turns()
        self._workers: list[Worker] = []
        self._context = FlowContext(
            window=8,
            slots=SlotPool(None, fit=Fit(), num_classes=2),
            send=lambda *_: None,
            enqueue=self.turns.add,
            withdraw=self.turns.remove,
            is_staffed=lambda: True,
            on_frame=lambda *_: None,
        )

    def flow(self, name: str, *, freshest: bool = False) -> Flow:
        spec = SourceSpec(name, "video", (Path("x.mp4"),), "x.mp4")
        pace = Pace(freshest=freshest)
        stream = Stream(spec, self._worker, lambda _: self._worker(), False, pace=pace)
        return Flow(stream, self._context)

    def come(self, flow: Flow, *indices: int) -> None:
        """Lets frames wait."""
        for index in indices:
            meta = FrameMeta(flow.stream.name, index, index, Fraction(1, 25), (64, 64))
            flow.stream.books.decoded += 1
            flow.stream.books.in_flight += 1
            self.turns.add(flow, flow.stream.ledger.open(meta, Slot(index), Served(0, 0)))

    def take(self) -> tuple[str, int] | None:
        flow = self.turns.next_flow()
        return None if flow is None else (flow.stream.name, self.turns.take(flow).meta.index)

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
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def test_streams_take_turns_however_many_frames_each_has(site: Site) -> None:
    a, b, c = site.flow("a"), site.flow("b"), site.flow("c")
    site.come(a, 0, 1, 2, 3)
    site.come(b, 0)
    site.come(c, 0, 1)
    order = [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2), ("a", 3)]
    assert site.take_all() == order


def test_the_newest_frame_overtakes_those_before_it(site: Site) -> None:
    fresh, whole = site.flow("fresh", freshest=True), site.flow("whole")
    site.come(fresh, 0, 1, 2)
    site.come(whole, 0, 1)
    assert site.take_all() == [("fresh", 2), ("whole", 0), ("whole", 1)]
    assert dict(fresh.stream.books.dropped) == {"stale": 2}
    assert fresh.stream.books.in_flight == 1
    assert not whole.stream.books.dropped


def test_what_is_handed_out_again_goes_before_all_others(site: Site) -> None:
    a, b = site.flow("a"), site.flow("b")
    site.come(a, 0, 1)
    site.come(b, 0)
    lease: Lease = site.turns.take(a)
    site.turns.put_back(a, lease)
    assert site.take_all() == [("a", 0), ("b", 0), ("a", 1)]


def test_a_frame_that_is_taken_out_is_not_there_any_more(site: Site) -> None:
    a = site.flow("a")
    site.come(a, 0, 1)
    lease = a.stream.ledger.get(0)
    assert lease is not None
    assert (a, lease) in site.turns
    a.drop(lease, "stopped")
    assert (a, lease) not in site.turns
    assert site.take_all() == [("a", 1)]
