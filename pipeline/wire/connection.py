"""A worker's connection to the rest of the run."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import zmq

from icstream.pipeline.wire.messages import Message, Stop
from icstream.pipeline.wire.shared_memory import ArenaView
from icstream.pipeline.wire.sockets import WorkerLink
from icstream.stages.sinks.sink import Part

_WAIT_S = 0.5

Expected = TypeVar("Expected", bound=Message)


class Stopped(Exception):  # noqa: N818 - no error, but the way out of every loop
    """The hub has told the worker to end."""


@dataclass(slots=True)
class WorkerConnection:
    """A worker's connection to the rest: its link, the shared memory, and what it is busy with."""

    link: WorkerLink
    memory: ArenaView | None
    task: str
    """What its stage is made from, as JSON."""
    parts: dict[str, list[Part]] = field(default_factory=dict)
    """Files that an encode worker has written, should it have to give up."""
    busy_since: float | None = None
    _kept: deque[tuple[Any, list[zmq.Frame]]] = field(default_factory=deque)

    def receive(self, timeout_s: float = _WAIT_S) -> tuple[Any, list[zmq.Frame]] | None:
        """Gives the next message and its payload; None if none came in time.

        Raises:
            Stopped: the worker is to end.
        """
        if self._kept:
            return self._kept.popleft()
        got = self.link.receive(timeout_s)
        if got is not None and isinstance(got[0], Stop):
            raise Stopped
        return got

    def messages(self) -> Iterator[tuple[Any, list[zmq.Frame]]]:
        """Gives messages for ever."""
        while True:
            got = self.receive()
            if got is not None:
                yield got

    def expect(self, kind: type[Expected]) -> Expected:
        """Waits for a message of that kind; others are kept for later."""
        others: list[tuple[Any, list[zmq.Frame]]] = []
        for got in self.messages():
            if isinstance(got[0], kind):
                self._kept.extend(others)
                return got[0]
            others.append(got)
        raise AssertionError

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Marks the time that a task takes, so that one that never ends is seen."""
        self.busy_since = time.monotonic()
        try:
            yield
        finally:
            self.busy_since = None
