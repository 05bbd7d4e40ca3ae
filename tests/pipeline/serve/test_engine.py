"""Queues, bounds and deadlines of the service's engine."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from icstream.pipeline.serve.engine import Engine
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.models import Networks

WAIT_S = 20.0


def start(num_workers: int, *, max_requests: int = 8, max_wait_s: float = WAIT_S) -> Engine:
    engine = Engine(max_requests=max_requests, max_wait_s=max_wait_s)
    engine.start([Networks({}) for _ in range(num_workers)])
    return engine


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Gives what held-up work waits for; it is open at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


def held(gate: threading.Event) -> Callable[[Networks], bool]:
    return lambda _: gate.wait(WAIT_S)


def always(_: Networks) -> bool:
    return True


def never(_: Networks) -> bool:
    return False


def test_gives_what_the_work_gives_and_raises_what_it_raises() -> None:
    engine = start(2)

    def fail(_: Networks) -> None:
        raise OSError("no")

    assert asyncio.run(engine.run(lambda _: 7, is_quick=always)) == 7
    with pytest.raises(OSError, match="no"):
        asyncio.run(engine.run(fail, is_quick=always))
    assert asyncio.run(engine.run(lambda _: 8, is_quick=always)) == 8
    engine.close()


def test_what_does_not_begin_in_time_is_sent_away_and_never_done(gate: threading.Event) -> None:
    engine = start(1, max_wait_s=0.2)
    done: list[str] = []

    async def both() -> Any:
        first = asyncio.create_task(engine.run(held(gate), is_quick=always))
        await asyncio.sleep(0.05)
        with pytest.raises(RefusedError) as refusal:
            await engine.run(lambda _: done.append("late"), is_quick=always)
        gate.set()
        return await first, refusal.value

    finished, refusal = asyncio.run(both())
    assert finished is True  # it had begun, so its own time did not end it
    assert refusal.kind == "busy"
    assert refusal.retry_after_s is not None
    engine.close()
    assert done == []


def test_places_are_counted() -> None:
    engine = start(1, max_requests=2)
    with engine.admitted(), engine.admitted():
        with pytest.raises(RefusedError, match="2 requests wait already"), engine.admitted():
            pass
        assert engine.num_admitted == 2
    assert engine.num_admitted == 0
    engine.close()


def test_work_that_needs_a_compilation_leaves_a_worker_free_for_the_others(
    gate: threading.Event,
) -> None:
    engine = start(2)

    async def scenario() -> list[str]:
        order: list[str] = []

        async def one(name: str, work: Callable[[Networks], Any], quick: bool) -> None:
            await engine.run(work, is_quick=always if quick else never)
            order.append(name)

        slow = [asyncio.create_task(one("slow", held(gate), False)) for _ in range(3)]
        await asyncio.sleep(0.05)
        quick = [asyncio.create_task(one("quick", lambda _: None, True)) for _ in range(5)]
        await asyncio.wait_for(asyncio.gather(*quick), WAIT_S)
        gate.set()
        await asyncio.wait_for(asyncio.gather(*slow), WAIT_S)
        return order

    assert asyncio.run(scenario()) == ["quick"] * 5 + ["slow"] * 3
    engine.close()


def test_closing_finishes_what_waits() -> None:
    engine = start(1)

    async def scenario() -> list[int]:
        tasks = [
            asyncio.create_task(engine.run(lambda _, k=k: k, is_quick=always))  # type: ignore[misc]
            for k in range(6)
        ]
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.close)
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(scenario()) == list(range(6))
