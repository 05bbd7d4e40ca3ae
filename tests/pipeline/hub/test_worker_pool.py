"""Frames at the workers that streams share: who gets them, and what becomes of them."""

import pytest
from hub_parts import GEOMETRY, SPAN, Workers, open_leases

from icstream.pipeline.hub.lease import LeaseState
from icstream.pipeline.hub.worker_pool import FailedFrame, Overtaken, Returned
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import Done, Failed, Ready, WarmedUp, WireError, Work


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
    for _ in range(3):
        pools.dispatch()
        lost = workers.of("preprocess")
        outcomes += pool.lose(lost, crashed=True)
        pool.replace(lost)
        workers.of("preprocess").ready = True
    detail = "its worker crashed on it every time"
    assert outcomes == [FailedFrame(stream, lease, "preprocess crashed", detail)]
    assert other.num_crashes == 0


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
    pools = workers.pools()
    pools.warm_up((64, 96))
    assert not pools.are_staffed()
    pools["segment"].take(workers.of("segment"), WarmedUp((64, 96)), [])
    assert pools.are_staffed()


def test_a_message_of_another_kind_of_worker_is_refused() -> None:
    workers = Workers()
    with pytest.raises(WireError, match="segment 0 sent Ready"):
        workers.pools()["segment"].take(workers.of("segment"), Ready(), [])
