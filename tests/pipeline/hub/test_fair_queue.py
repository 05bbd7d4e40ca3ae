"""Whose turn it is at the workers that streams share."""

from icstream.pipeline.hub.fair_queue import FairQueue
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.plan.live import LivePlan
from support.hub_parts import Workers, open_leases


def stream(name: str, *, freshest: bool = False) -> StreamState:
    return Workers().stream(name, LivePlan(freshest=freshest))


def wait(queue: FairQueue, stream: StreamState, *indices: int) -> None:
    for lease in open_leases(stream, *indices):
        queue.add(stream, lease)


def take(queue: FairQueue) -> tuple[str, int] | None:
    """Return the frame that is next."""
    if not queue.streams():
        return None
    lease, _ = queue.take(queue.streams()[0])
    return lease.meta.stream, lease.meta.index


def take_all(queue: FairQueue) -> list[tuple[str, int]]:
    return list(iter(lambda: take(queue), None))


def test_streams_take_turns_however_many_frames_each_has() -> None:
    queue = FairQueue()
    wait(queue, stream("a"), 0, 1, 2, 3)
    wait(queue, stream("b"), 0)
    wait(queue, stream("c"), 0, 1)
    order = [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2), ("a", 3)]
    assert take_all(queue) == order


def test_the_newest_frame_overtakes_those_before_it() -> None:
    queue = FairQueue()
    fresh, whole = stream("fresh", freshest=True), stream("whole")
    wait(queue, fresh, 0, 1, 2)
    wait(queue, whole, 0, 1)
    assert queue.next_of(fresh) is fresh.leases.get(2)
    lease, overtaken = queue.take(fresh)
    assert (lease.meta.index, [stale.meta.index for stale in overtaken]) == (2, [0, 1])
    assert not any((fresh, stale) in queue for stale in overtaken)
    assert take_all(queue) == [("whole", 0), ("whole", 1)]


def test_what_is_handed_out_again_goes_before_all_others() -> None:
    queue = FairQueue()
    a, b = stream("a"), stream("b")
    wait(queue, a, 0, 1)
    wait(queue, b, 0)
    lease, _ = queue.take(a)
    queue.put_back(a, lease)
    assert take_all(queue) == [("a", 0), ("b", 0), ("a", 1)]


def test_a_frame_that_is_taken_out_is_not_there_any_more() -> None:
    queue = FairQueue()
    a = stream("a")
    wait(queue, a, 0, 1)
    lease = a.leases.get(0)
    assert lease is not None
    assert (a, lease) in queue
    queue.remove(a, lease)
    queue.remove(a, lease)
    assert (a, lease) not in queue
    assert take_all(queue) == [("a", 1)]
