"""Which worker of the network prepares for which size, and what streams notice of one another."""

import time
from collections.abc import Callable
from fractions import Fraction

import pytest

from icstream.model import Fit
from icstream.pipeline.hub.lease import Lease, LeaseState
from icstream.pipeline.hub.network_sizes import NetworkSizes
from icstream.pipeline.hub.outcomes import FailedFrame
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import Done, Slot, WarmedUp, WarmUp, Work
from icstream.stages import FrameMeta
from support.hub_parts import SPAN, Workers, network_sizes

STEADY = (64, 96)


class Network:
    """The segment workers of a run and the frames at them, with a clock of its own."""

    def __init__(self, clock: list[float], count: int, sizes: NetworkSizes) -> None:
        self.clock = clock
        self.workers = Workers()
        self.pools = self.workers.pools(count, sizes=sizes)
        self.pool = self.pools["segment"]
        self.failed: list[FailedFrame] = []
        self.streams: list[StreamState] = []

    def stream(self, name: str, size: tuple[int, int], *, is_live: bool = True) -> StreamState:
        plan = LivePlan(freshest=is_live)
        stream = self.workers.stream(name, plan, is_live=is_live)
        self.pools.announce(stream, size)
        self.streams.append(stream)
        return stream

    def send(self, stream: StreamState, size: tuple[int, int]) -> Lease:
        """Let a frame of a stream come to the network."""
        index = stream.leases.num_ordered
        meta = FrameMeta(stream.name, index, index, Fraction(1, 25), size)
        lease = stream.leases.open(meta, Slot(0), SPAN, geometry=Fit().geometry(size))
        self.pool.add(stream, lease)
        self.dispatch()
        return lease

    def dispatch(self) -> None:
        outcomes = self.pool.dispatch()
        self.failed += [outcome for outcome in outcomes if isinstance(outcome, FailedFrame)]

    def warming(self) -> list[tuple[str, tuple[int, int]]]:
        return [(w.label, size) for w in self.pool.workers for size in w.warming]

    def finish_warm_ups(self, after_s: float = 0.0) -> None:
        self.clock[0] += after_s
        for worker in self.pool.workers:
            for size in list(worker.warming):
                self.pool.take(worker, WarmedUp(size), [])
        self.dispatch()

    def finish_frames(self) -> int:
        """Let the workers be through with all that they have, and return how many that was."""
        held = [
            (worker, lease)
            for stream in self.streams
            for lease in stream.leases
            for worker in self.pool.workers
            if lease.state is LeaseState.HELD and lease.stage == "segment"
        ]
        for worker, lease in held:
            meta = lease.meta
            done = Done(meta.stream, meta.index, Fit().geometry(meta.size), (), SPAN)
            self.pool.take(worker, done, [])
        self.dispatch()
        return len({lease.meta for _, lease in held})


@pytest.fixture
def open_network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Network]:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def open_network(count: int = 1, num_bytes: int = 10**9) -> Network:
        return Network(clock, count, network_sizes(num_bytes))

    return open_network


def test_one_worker_prepares_before_the_others_do(open_network: Callable[..., Network]) -> None:
    network = open_network(3)
    stream = network.stream("a", STEADY, is_live=False)
    leases = [network.send(stream, STEADY) for _ in range(6)]
    assert network.warming() == [("segment 0", STEADY)]
    network.finish_warm_ups()
    # What the first has made is in the cache by now. The others have nothing else to do.
    assert network.warming() == [("segment 1", STEADY), ("segment 2", STEADY)]
    assert [lease.state for lease in leases[:2]] == [LeaseState.HELD] * 2
    network.finish_warm_ups()
    assert all(lease.state is LeaseState.HELD for lease in leases)


def test_workers_prepare_for_several_sizes_at_the_start(
    open_network: Callable[..., Network],
) -> None:
    network = open_network(2)
    for number, size in enumerate([(64, 96), (120, 200), (300, 300)]):
        network.stream(f"s{number}", size)
    network.dispatch()
    assert network.warming() == [("segment 0", (64, 96)), ("segment 1", (120, 200))]
    network.finish_warm_ups()
    assert network.warming() == [("segment 0", (300, 300))]


def test_sizes_that_make_the_same_input_are_one(open_network: Callable[..., Network]) -> None:
    network = open_network()
    # Both become 65x97 (the next 32k+1).
    stream = network.stream("a", (64, 96))
    network.dispatch()
    network.finish_warm_ups()
    assert network.send(stream, (60, 90)).state is LeaseState.HELD
    assert network.workers.sent_to("segment") == [WarmUp, Work]


def test_others_go_on_while_a_worker_prepares_for_a_new_size(
    open_network: Callable[..., Network],
) -> None:
    network = open_network(2)
    steady = network.stream("steady", STEADY)
    for _ in range(3):
        network.send(steady, STEADY)
        network.finish_warm_ups()
    network.finish_frames()
    changing = network.stream("changing", STEADY)
    for number in range(1, 4):
        network.send(changing, (200 * number, 200))
        assert len(network.warming()) == 1
        assert any(w.ready and not w.warming for w in network.pool.workers)


def test_a_camera_of_ever_changing_sizes_fails_by_itself(
    open_network: Callable[..., Network],
) -> None:
    network = open_network()
    steady = network.stream("steady", STEADY)
    changing = network.stream("changing", (200, 200))
    network.dispatch()
    network.finish_warm_ups(after_s=2)
    network.finish_warm_ups(after_s=2)
    num_away = 0
    for number in range(250):  # ten a second, each of another size
        network.clock[0] += 0.1
        network.send(changing, (200 + 40 * number, 200))
        network.send(steady, STEADY)
        network.finish_frames()
        num_away += bool(network.warming())
        if network.warming() and num_away % 20 == 0:
            network.finish_warm_ups()
    # Preparing takes 2 s, after which the stream has to wait for 6 s: the steady one gets the rest.
    assert 40 <= num_away <= 80
    num_done = sum(lease.stage == "encode" for lease in steady.leases)
    assert 160 <= num_done <= 210
    assert network.failed
    assert {outcome.stream for outcome in network.failed} == {changing}
    assert {outcome.reason for outcome in network.failed} == {"too many sizes"}
    assert "sizes change faster than the network can prepare" in network.failed[0].detail


def test_a_folder_of_many_sizes_waits_and_loses_nothing(
    open_network: Callable[..., Network],
) -> None:
    network = open_network()
    steady = network.stream("steady", STEADY)
    folder = network.stream("folder", (200, 200), is_live=False)
    network.dispatch()
    network.finish_warm_ups(after_s=2)
    network.finish_warm_ups(after_s=2)
    lease = network.send(folder, (600, 200))
    assert network.warming() == []  # it had a new size just now
    network.send(steady, STEADY)
    network.finish_frames()
    network.clock[0] += 6.1
    network.dispatch()
    assert network.warming() == [("segment 0", (600, 200))]
    network.finish_warm_ups(after_s=2)
    assert lease.state is LeaseState.HELD
    assert network.failed == []


def test_a_stream_without_others_does_not_wait(open_network: Callable[..., Network]) -> None:
    network = open_network()
    stream = network.stream("a", STEADY, is_live=False)
    for number in range(1, 5):
        lease = network.send(stream, (200 * number, 200))
        network.finish_warm_ups(after_s=2)
        network.finish_warm_ups(after_s=2)
        assert lease.state is LeaseState.HELD
        network.finish_frames()


def test_a_size_without_memory_for_it_fails_and_others_go_on(
    open_network: Callable[..., Network],
) -> None:
    network = open_network(num_bytes=100_000_000)
    stream = network.stream("a", STEADY)
    network.dispatch()
    network.finish_warm_ups()
    network.send(stream, (4000, 4000))
    (failed,) = network.failed
    assert failed.reason == "not enough memory"
    # 64 bytes for each of 4001x4001 pixels (the next 32k+1 from 4000 on).
    assert failed.detail.startswith("a: the network for 4000x4000 pixels: needs 1,025 MB of memory")
    network.send(stream, STEADY)
    network.finish_warm_ups()
    assert network.workers.sent_to("segment")[-1] is Work


def test_sizes_used_longest_ago_are_forgotten_where_memory_is_short(
    open_network: Callable[..., Network],
) -> None:
    sizes = [(1000, 1000), (1000, 1200), (1000, 1400)]
    network = open_network(num_bytes=175_000_000)
    stream = network.stream("a", sizes[0], is_live=False)
    for size in sizes:
        network.send(stream, size)
        network.finish_warm_ups()
        network.finish_frames()
    sent = [body for _, body in network.workers.sent if isinstance(body, WarmUp)]
    assert [warm_up.size for warm_up in sent] == sizes
    # 1025x1025 is the input for 1000x1000.
    assert [warm_up.forget for warm_up in sent] == [[], [], [(1025, 1025)]]


def test_the_memory_of_a_lost_worker_comes_back(open_network: Callable[..., Network]) -> None:
    network = open_network(num_bytes=100_000_000)
    stream = network.stream("a", (1000, 1000))
    for _ in range(4):
        network.dispatch()
        assert network.warming() == [("segment 0", (1000, 1000))]
        worker: Worker = network.pool.workers[0]
        network.pool.lose(worker, crashed=False)
        network.pool.replace(worker)
        network.pool.workers[0].ready = True
    network.dispatch()
    network.finish_warm_ups()
    assert network.send(stream, (1000, 1000)).state is LeaseState.HELD
