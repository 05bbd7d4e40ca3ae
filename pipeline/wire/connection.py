"""A worker's connection to the rest of the run."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import zmq

from icstream.pipeline.wire.messages import Message, Stop
from icstream.pipeline.wire.shared_memory import ArenaView
from icstream.pipeline.wire.sockets import WorkerLink
from icstream.stages.sinks.sink import Part

_WAIT_S = 0.5

Expected = TypeVar("Expected", bound=Message)


class Stopped(Exception):  # noqa: N818 - not an error, but the way out of every loop
    """Raised in a worker that must end."""


@dataclass(slots=True)
class WorkerConnection:
    """The link to the hub, the shared memory, and the time of the worker's present task."""

    link: WorkerLink
    memory: ArenaView | None
    task: str
    """The worker's task, as JSON."""
    parts: dict[str, list[Part]] = field(default_factory=dict)
    """Files that an encode worker has written, to be reported if it fails."""
    busy_since: float | None = None
    _kept: deque[tuple[Any, list[zmq.Frame]]] = field(default_factory=deque)

    def receive(self, timeout_s: float = _WAIT_S) -> tuple[Any, list[zmq.Frame]] | None:
        """Return the next message and its payload, or None after the timeout."""
        if self._kept:
            return self._kept.popleft()
        received = self.link.receive(timeout_s)
        if received is not None and isinstance(received[0], Stop):
            raise Stopped
        return received

    def messages(self) -> Iterator[tuple[Any, list[zmq.Frame]]]:
        """Yield messages until the worker must end."""
        while True:
            received = self.receive()
            if received is not None:
                yield received

    def wait_for_stop(self) -> NoReturn:
        """Wait until the worker must end, ignoring other messages."""
        while True:
            self.receive()

    def expect(self, kind: type[Expected]) -> Expected:
        """Wait for a message of a type, and keep others for later."""
        others: list[tuple[Any, list[zmq.Frame]]] = []
        for received in self.messages():
            if isinstance(received[0], kind):
                self._kept.extend(others)
                return received[0]
            others.append(received)
        raise AssertionError

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Record the start and end of a task, so that the hub notices one that hangs."""
        self.busy_since = time.monotonic()
        try:
            yield
        finally:
            self.busy_since = None
