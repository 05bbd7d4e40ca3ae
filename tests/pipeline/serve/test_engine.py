"""Queues, bounds and deadlines of the service's engine."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from icstream.model.memory import MemoryBudget
from icstream.pipeline.serve import engine as engine_module
from icstream.pipeline.serve.allowance import AbandonedError, Allowance
from icstream.pipeline.serve.engine import Engine
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.serve.models import Networks

WAIT_S = 20.0


def start(
    num_workers: int,
    *,
    max_requests: int = 8,
    max_wait_s: float = WAIT_S,
    max_work_s: float = WAIT_S,
    budget: MemoryBudget | None = None,
) -> Engine:
    engine = Engine(
        max_requests=max_requests,
        max_wait_s=max_wait_s,
        max_work_s=max_work_s,
        budget=budget or MemoryBudget(1000),
    )
    engine.start([Networks({}, MemoryBudget(0)) for _ in range(num_workers)])
    return engine


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Return what held-up work waits for; it is open at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


def held(gate: threading.Event) -> Callable[[Networks, Allowance], bool]:
    return lambda *_: gate.wait(WAIT_S)


def in_steps(begun: threading.Event) -> Callable[[Networks, Allowance], None]:
    """Return work of very many small steps."""

    def work(_: Networks, allowance: Allowance) -> None:
        begun.set()
        while True:
            allowance.check()
            time.sleep(0.01)

    return work


def always(_: Networks) -> bool:
    return True


def never(_: Networks) -> bool:
    return False


def test_gives_what_the_work_gives_and_raises_what_it_raises() -> None:
    engine = start(2)

    def fail(*_: Any) -> None:
        raise OSError("no")

    assert asyncio.run(engine.run(lambda *_: 7, is_quick=always)) == 7
    with pytest.raises(OSError, match="no"):
        asyncio.run(engine.run(fail, is_quick=always))
    assert asyncio.run(engine.run(lambda *_: 8, is_quick=always)) == 8
    engine.close(WAIT_S)


def test_what_does_not_begin_in_time_is_sent_away_and_never_done(gate: threading.Event) -> None:
    engine = start(1, max_wait_s=0.2)
    done: list[str] = []

    async def both() -> Any:
        first = asyncio.create_task(engine.run(held(gate), is_quick=always))
        await asyncio.sleep(0.05)
        with pytest.raises(RefusedError) as refusal:
            await engine.run(lambda *_: done.append("late"), is_quick=always)
        gate.set()
        return await first, refusal.value

    finished, refusal = asyncio.run(both())
    assert finished is True  # it had begun, so its own time did not end it
    assert refusal.kind == "busy"
    assert refusal.retry_after_s is not None
    engine.close(WAIT_S)
    assert done == []


def test_places_are_counted() -> None:
    engine = start(1, max_requests=2)
    with engine.admitted(), engine.admitted():
        with pytest.raises(RefusedError, match="2 requests are already waiting"), engine.admitted():
            pass
        assert engine.num_admitted == 2
    assert engine.num_admitted == 0
    engine.close(WAIT_S)


def test_work_that_needs_a_compilation_leaves_a_worker_free_for_the_others(
    gate: threading.Event,
) -> None:
    engine = start(2)

    async def scenario() -> list[str]:
        order: list[str] = []

        async def one(name: str, work: Callable[[Networks, Allowance], Any], quick: bool) -> None:
            await engine.run(work, is_quick=always if quick else never)
            order.append(name)

        slow = [asyncio.create_task(one("slow", held(gate), False)) for _ in range(3)]
        await asyncio.sleep(0.05)
        quick = [asyncio.create_task(one("quick", lambda *_: None, True)) for _ in range(5)]
        await asyncio.wait_for(asyncio.gather(*quick), WAIT_S)
        gate.set()
        await asyncio.wait_for(asyncio.gather(*slow), WAIT_S)
        return order

    assert asyncio.run(scenario()) == ["quick"] * 5 + ["slow"] * 3
    engine.close(WAIT_S)


def test_closing_finishes_what_waits() -> None:
    engine = start(1)

    async def scenario() -> list[int]:
        tasks = [
            asyncio.create_task(engine.run(lambda *_, k=k: k, is_quick=always)) for k in range(6)
        ]
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.close, WAIT_S)
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(scenario()) == list(range(6))


def test_work_has_a_time_of_its_own() -> None:
    engine = start(1, max_work_s=0.2)
    with pytest.raises(RefusedError, match=r"0\.2 s") as refusal:
        asyncio.run(engine.run(in_steps(threading.Event()), is_quick=always))
    assert (refusal.value.kind, refusal.value.retry_after_s) == ("too_much_work", None)
    assert engine.close(WAIT_S)


def test_what_nobody_waits_for_any_more_leaves_the_queue_and_the_worker() -> None:
    engine = start(1)
    done: list[str] = []

    async def scenario() -> str:
        begun = threading.Event()
        first = asyncio.create_task(engine.run(in_steps(begun), is_quick=always))
        await asyncio.to_thread(begun.wait, WAIT_S)
        waiting = [
            asyncio.create_task(engine.run(lambda *_: done.append("late"), is_quick=always))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        for task in (*waiting, first):
            task.cancel()
        await asyncio.gather(first, *waiting, return_exceptions=True)
        return await asyncio.wait_for(engine.run(lambda *_: "next", is_quick=always), WAIT_S)

    assert asyncio.run(scenario()) == "next"
    assert engine.close(WAIT_S)
    assert done == []


def test_work_waits_for_memory_and_lets_smaller_go_first(gate: threading.Event) -> None:
    budget = MemoryBudget(1000)
    engine = start(2, budget=budget)

    async def scenario() -> list[str]:
        order: list[str] = []

        async def one(name: str, work: Callable[[Networks, Allowance], Any], size: int) -> None:
            await engine.run(work, is_quick=always, num_bytes=size)
            order.append(name)

        first = asyncio.create_task(one("first", held(gate), 700))
        await asyncio.sleep(0.05)
        large = asyncio.create_task(one("large", lambda *_: None, 600))
        await asyncio.wait_for(one("small", lambda *_: None, 200), WAIT_S)
        gate.set()
        await asyncio.wait_for(asyncio.gather(first, large), WAIT_S)
        return order

    assert asyncio.run(scenario()) == ["small", "first", "large"]
    assert engine.close(WAIT_S)
    assert budget.reserved == 0


def test_closing_ends_work_that_takes_too_long() -> None:
    engine = start(1)

    async def scenario() -> None:
        begun = threading.Event()
        task = asyncio.create_task(engine.run(in_steps(begun), is_quick=always))
        await asyncio.to_thread(begun.wait, WAIT_S)
        assert await asyncio.to_thread(engine.close, 0.1)
        with pytest.raises(AbandonedError):
            await task

    asyncio.run(scenario())


def test_closing_does_not_wait_for_a_library_for_ever(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_LAST_STEP_S", 0.1)
    engine = start(1)

    async def scenario() -> None:
        task = asyncio.create_task(engine.run(held(gate), is_quick=always))
        await asyncio.sleep(0.05)
        assert not await asyncio.to_thread(engine.close, 0.1)
        gate.set()
        await task

    asyncio.run(scenario())
