"""Frames at the workers that streams share: who gets them, and what becomes of them."""

import pytest

from icstream.pipeline.hub.lease import LeaseState
from icstream.pipeline.hub.losses import Losses
from icstream.pipeline.hub.outcomes import FailedFrame, Outcome, Overtaken, Returned
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import Done, Failed, Ready, WarmedUp, WarmUp, WireError, Work
from support.hub_parts import GEOMETRY, SIZE, SPAN, Workers, network_sizes, open_leases


def done(index: int, stream: str = "drive") -> Done:
    return Done(stream, index, GEOMETRY, (), SPAN)


def test_a_finished_frame_waits_for_the_next_stage() -> None:
    workers = Workers()
    pools, stream = workers.pools(), workers.stream()
    (lease,) = open_leases(stream, 0)
    pools.add(stream, lease)
    for kind in ("preprocess", "segment"):
        assert not pools.has_lost(stream, lease)
        assert pools.dispatch() == []
        assert lease.state is LeaseState.HELD
        assert pools[kind].take(workers.of(kind), done(0), []) == []
    assert (lease.stage, lease.state) == ("encode", LeaseState.WAITING)
    assert [(label, type(body)) for label, body in workers.sent] == [
        ("preprocess 0", Work),
        ("segment 0", Work),
    ]


def test_the_worker_that_has_the_fewest_gets_the_next_frame() -> None:
    workers = Workers()
    pools, stream = workers.pools(count=2), workers.stream()
    for lease in open_leases(stream, *range(5)):
        pools.add(stream, lease)
    pools.dispatch()
    assert [label for label, _ in workers.sent] == ["preprocess 0", "preprocess 1"] * 2
    pools["preprocess"].take(workers.of("preprocess"), done(1), [])
    pools.dispatch()
    assert workers.sent[-2][0] == "segment 0"
    assert workers.sent[-1][0] == "preprocess 1"


def test_what_is_overtaken_is_given_back() -> None:
    workers = Workers()
    pools, stream = workers.pools(), workers.stream(plan=LivePlan(freshest=True))
    leases = open_leases(stream, 0, 1, 2)
    for lease in leases:
        pools.add(stream, lease)
    assert pools.dispatch() == [Overtaken(stream, lease) for lease in leases[:2]]


def test_what_a_lost_worker_had_is_handed_out_first() -> None:
    workers = Workers()
    pools, stream = workers.pools(), workers.stream()
    pool, leases = pools["preprocess"], open_leases(stream, 0, 1, 2)
    for lease in leases:
        pools.add(stream, lease)
    pools.dispatch()
    lost = workers.of("preprocess")
    assert pool.lose(lost, crashed=False) == []
    pool.replace(lost)
    workers.of("preprocess").ready = True
    workers.sent.clear()
    pools.dispatch()
    frames = [body.frame.meta.index for _, body in workers.sent if isinstance(body, Work)]
    assert frames == [0, 1]
    assert stream.leases.stage_counts["preprocess"].retried == 2
    assert all(pool.has(stream, lease) for lease in leases)


def test_a_frame_on_which_three_workers_crash_fails() -> None:
    workers = Workers()
    pools, stream = workers.pools(), workers.stream()
    pool, (lease, other) = pools["preprocess"], open_leases(stream, 0, 1)
    pools.add(stream, lease)
    pools.add(stream, other)
    outcomes = []
    for num_lost in range(3):
        pools.dispatch()
        lost = workers.of("preprocess")
        if num_lost == 2:  # now the frame goes last
            pool.take(lost, done(1), [])
            pools.dispatch()
        outcomes += pool.lose(lost, crashed=True)
        pool.replace(lost)
        workers.of("preprocess").ready = True
    detail = "preprocess workers were repeatedly lost at it"
    assert outcomes == [FailedFrame(stream, lease, "preprocess crashed", detail)]
    assert other.losses == Losses()


def test_a_frame_on_which_workers_are_lost_is_tried_alone_and_last_while_others_go_on() -> None:
    workers = Workers()
    pools, stream = workers.pools(count=2), workers.stream()
    pool, (bad, *others) = pools["preprocess"], open_leases(stream, *range(6))
    for lease in (bad, *others):
        pools.add(stream, lease)
    outcomes: list[Outcome] = []
    finished: list[int] = []
    lost_beside: list[int] = []
    for _ in range(40):
        outcomes += pools.dispatch()
        for place, worker in enumerate(pool.workers):
            held = sent_since_start(workers, worker)
            held = [index for index in held if index not in finished]
            if not held:
                continue
            if held[0] == 0 and bad.state is LeaseState.HELD:
                lost_beside.append(len(held) - 1)
                outcomes += pool.lose(worker, crashed=False)
                pool.replace(worker)
                pool.workers[place].connected = pool.workers[place].ready = True
            else:
                pool.take(worker, done(held[0]), [])
                finished.append(held[0])
    detail = "preprocess workers were repeatedly lost at it"
    assert outcomes == [FailedFrame(stream, bad, "preprocess crashed", detail)]
    assert sorted(finished) == [1, 2, 3, 4, 5]
    assert lost_beside[2:] == [0, 0, 0]


def sent_since_start(workers: Workers, worker: Worker) -> list[int]:
    """Return the frames that a worker was sent, and none that one before it in its place was."""
    sent = workers.sent_to_each[worker.name]
    return [body.frame.meta.index for body in sent if isinstance(body, Work)]


def test_frames_of_a_size_that_no_worker_gets_ready_for_fail() -> None:
    workers = Workers()
    pools, stream = workers.pools(sizes=network_sizes()), workers.stream()
    pool = pools["segment"]
    for _ in range(3):
        pools.announce(stream, SIZE)
        pools.dispatch()
        assert workers.sent[-1][1] == WarmUp(SIZE)
        pool.lose(workers.of("segment"), crashed=True)
        pool.replace(pool.workers[0])
        pool.workers[0].ready = True
    pools.announce(stream, SIZE)
    assert pools.dispatch() == []
    assert workers.of("segment").warming == {}
    assert pools.are_ready_for(SIZE)
    (lease,) = open_leases(stream, 0)
    pools.add(stream, lease)
    pools.dispatch()
    pools["preprocess"].take(workers.of("preprocess"), done(0), [])
    detail = "segment workers were repeatedly lost while preparing for its size"
    assert pools.dispatch() == [FailedFrame(stream, lease, "segment crashed", detail)]


@pytest.mark.parametrize("end", ["done", "failed", "lost"])
def test_a_frame_that_was_dropped_comes_back_when_its_worker_lets_go(end: str) -> None:
    workers = Workers()
    pools, stream = workers.pools(), workers.stream()
    pool, (lease,) = pools["preprocess"], open_leases(stream, 0)
    pools.add(stream, lease)
    pools.dispatch()
    stream.leases.drop(lease, "stale")
    worker = workers.of("preprocess")
    match end:
        case "done":
            outcomes = pool.take(worker, done(0), [])
        case "failed":
            outcomes = pool.take(worker, Failed("drive", 0, "broken", "it is"), [])
        case _:
            outcomes = pool.lose(worker, crashed=True)
    assert outcomes == [Returned(stream, lease)]
    assert lease.state is LeaseState.OUT
    assert pool.take(worker, done(0), []) == []


def test_a_frame_that_cannot_be_processed_is_given_back_with_the_reason() -> None:
    workers = Workers()
    pools, stream = workers.pools(), workers.stream()
    pool, (lease,) = pools["preprocess"], open_leases(stream, 0)
    pools.add(stream, lease)
    pools.dispatch()
    failed = Failed("drive", 0, "broken", "it is")
    outcomes = pool.take(workers.of("preprocess"), failed, [])
    assert outcomes == [FailedFrame(stream, lease, "broken", "it is")]


def test_a_worker_that_warms_up_gets_no_frames() -> None:
    workers = Workers()
    pools, stream = workers.pools(sizes=network_sizes()), workers.stream()
    pools.announce(stream, SIZE)
    assert not pools.are_ready_for(SIZE)
    pools.dispatch()
    assert not pools.are_staffed()
    (lease,) = open_leases(stream, 0)
    pools.add(stream, lease)
    pools.dispatch()
    pools["preprocess"].take(workers.of("preprocess"), done(0), [])
    pools.dispatch()
    assert Work not in workers.sent_to("segment")
    pools["segment"].take(workers.of("segment"), WarmedUp(SIZE), [])
    assert pools.are_ready_for(SIZE)
    pools.dispatch()
    assert workers.sent_to("segment") == [WarmUp, Work]


def test_a_message_of_another_kind_of_worker_is_refused() -> None:
    workers = Workers()
    with pytest.raises(WireError, match="segment 0 sent Ready"):
        workers.pools()["segment"].take(workers.of("segment"), Ready(), [])
