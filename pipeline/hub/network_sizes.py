"""The assignment of input sizes to the workers of the network.

Preparing for a size takes seconds, in which a worker can do nothing else. So one worker prepares
for a size before others do, at most one needed worker is unavailable at a time, and a stream whose
sizes keep changing waits, or its frames fail, without affecting other streams.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from icstream.model.geometry import Fit
from icstream.model.memory import MemoryBudget, OverBudgetError
from icstream.pipeline.hub.dispatch import Send
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import WarmUp
from icstream.stages.items import Size

_BYTES_PER_PIXEL = 64
"""Memory of the network in bytes per pixel of its input: 48 to 67 measured on CPUs in fp32."""
_MAX_SIZES = 16
"""Most sizes that a worker keeps; the least recently used are discarded first."""
_PAUSE = 3
"""Pause of a stream beside others, as a multiple of the time that its last new size took."""
_MAX_KNOWN = 8
"""Number of recent sizes of a stream that do not count as new."""


class Demand(NamedTuple):
    """A stream that has frames of a size."""

    stream: StreamState
    size: Size
    """Size of the frames, as (height, width)."""


class _WarmUp(NamedTuple):
    demand: Demand
    input_size: Size
    started_s: float
    is_new: bool
    """Whether the stream had no such frames before."""


class EverySize:
    """The sizes of workers that need no preparation; same interface as `NetworkSizes`."""

    def announce(self, stream: StreamState, size: Size) -> None:
        """Do nothing."""

    def forget(self, stream: StreamState) -> None:
        """Do nothing."""

    def withdraw(self, size: Size) -> None:
        """Return True, because every size is usable."""

    def has(self, _worker: Worker, _size: Size) -> bool:
        """Return True, because every size is usable."""
        return True

    def note_use(self, worker: Worker, size: Size) -> None:
        """Do nothing."""

    def refuses(self, _demand: Demand) -> str | None:
        """Return None, because no size is refused."""
        return None

    def assign(
        self, _workers: Sequence[Worker], _demands: Sequence[Demand], *, send: Send
    ) -> list[tuple[Demand, str]]:
        """Return an empty list, because nothing needs preparation."""
        return []

    def is_settled(self, _workers: Sequence[Worker], _size: Size) -> bool:
        """Return True, because every size is usable."""
        return True

    def finish(self, worker: Worker) -> None:
        """Do nothing."""

    def lose(self, worker: Worker) -> None:
        """Do nothing."""


class NetworkSizes:
    """Decides which worker prepares for which size, and when."""

    def __init__(self, fit: Fit, budget: MemoryBudget, *, on_cpu: bool) -> None:
        """Start without streams.

        Args:
            fit: The way frames are fitted to the network.
            budget: The budget from which the network's memory is reserved.
            on_cpu: Whether the network runs in main memory.
        """
        self.input_size: Callable[[Size], Size] = lru_cache(64)(lambda s: fit.geometry(s).outer)
        self._budget = budget
        self._bytes_per_pixel = _BYTES_PER_PIXEL if on_cpu else 0
        self._known: dict[StreamState, deque[Size]] = {}
        """Recent input sizes of each active stream."""
        self._not_before_s: dict[StreamState, float] = {}
        """Earliest time of the next new size of each stream."""
        self._announced: dict[Size, Demand] = {}
        """Expected demands that no worker is prepared for, by input size."""
        self._under_way: dict[bytes, _WarmUp] = {}
        """Preparations in progress, by name of the worker."""

    def announce(self, stream: StreamState, size: Size) -> None:
        """Record that frames of a size will come."""
        self._known.setdefault(stream, deque(maxlen=_MAX_KNOWN))
        self._announced[self.input_size(size)] = Demand(stream, size)

    def forget(self, stream: StreamState) -> None:
        """Record that a stream has ended."""
        self._known.pop(stream, None)
        self._not_before_s.pop(stream, None)
        for input_size, demand in list(self._announced.items()):
            if demand.stream is stream:
                del self._announced[input_size]

    def has(self, worker: Worker, size: Size) -> bool:
        """Return whether a worker is prepared for frames of a size."""
        return self.input_size(size) in worker.input_sizes

    def note_use(self, worker: Worker, size: Size) -> None:
        """Record that a worker gets a frame of a size that it is prepared for."""
        input_size = self.input_size(size)
        if input_size in worker.input_sizes:
            worker.input_sizes[input_size] = worker.input_sizes.pop(input_size)

    def refuses(self, demand: Demand) -> str | None:
        """Return why frames of a size without a prepared worker fail; None if they may wait.

        Frames of recordings wait. Frames of cameras fail at once, because they would be too old.
        """
        if not demand.stream.is_live or not self._must_pause(demand):
            return None
        height, width = demand.size
        return (
            f"{width}x{height} pixels: the sizes change faster than the network can prepare for"
            " them; use fit.mode letterbox or stretch for a single size"
        )

    def assign(
        self, workers: Sequence[Worker], demands: Sequence[Demand], *, send: Send
    ) -> list[tuple[Demand, str]]:
        """Send workers requests to prepare for the demanded sizes, as far as they are available.

        Args:
            workers: All workers of the pool.
            demands: Sizes that frames wait for, and sizes with too few workers.
            send: The function that sends messages to workers.

        Returns:
            Demands for which there is no memory, each with the reason.
        """
        refused = []
        for demand in [*demands, *self._announced.values()]:
            input_size = self.input_size(demand.size)
            is_first = not any(input_size in worker.input_sizes for worker in workers)
            choose = partial(self._choose, workers, demand, input_size, is_first=is_first)
            try:
                while (worker := choose()) is not None:
                    self._begin(worker, demand, input_size, is_first=is_first, send=send)
            except OverBudgetError as error:
                self._announced.pop(input_size, None)
                if is_first:
                    refused.append((demand, str(error)))
        return refused

    def withdraw(self, size: Size) -> None:
        """Record that no worker will be prepared for a size."""
        self._announced.pop(self.input_size(size), None)

    def is_settled(self, workers: Sequence[Worker], size: Size) -> bool:
        """Return whether a worker takes frames of a size, or it is known that none will."""
        if any(worker.ready and self.has(worker, size) for worker in workers):
            return True
        input_size = self.input_size(size)
        return input_size not in self._announced and not any(
            found.input_size == input_size for found in self._under_way.values()
        )

    def finish(self, worker: Worker) -> None:
        """Record that a worker has finished its preparation."""
        found = self._under_way.pop(worker.name, None)
        if found is None:
            return
        now_s, stream = time.monotonic(), found.demand.stream
        worker.input_sizes[found.input_size] = None
        self._announced.pop(found.input_size, None)
        if found.is_new and stream in self._known:
            self._known[stream].append(found.input_size)
            self._not_before_s[stream] = now_s + _PAUSE * (now_s - found.started_s)

    def lose(self, worker: Worker) -> None:
        """Record that a worker is gone, and release its memory."""
        found = self._under_way.pop(worker.name, None)
        sizes = [*worker.input_sizes, *([found.input_size] if found else [])]
        worker.input_sizes.clear()
        self._budget.give_back(sum(map(self._num_bytes, sizes)))

    def _must_pause(self, demand: Demand) -> bool:
        """Return whether a stream beside others must wait before it gets another new size."""
        known = self._known.get(demand.stream, ())
        if len(self._known) < 2 or self.input_size(demand.size) in known:
            return False
        return time.monotonic() < self._not_before_s.get(demand.stream, 0.0)

    def _choose(
        self, workers: Sequence[Worker], demand: Demand, input_size: Size, *, is_first: bool
    ) -> Worker | None:
        """Return the worker that prepares for a size now, or None."""
        is_away = bool(self._under_way)
        if is_first and any(w.input_size == input_size for w in self._under_way.values()):
            return None  # another worker prepares already, which then helps all
        if is_first and self._must_pause(demand):
            return None
        free = [
            worker
            for worker in workers
            if worker.ready
            and not worker.warming
            and input_size not in worker.input_sizes
            and not (is_away and worker.input_sizes)
        ]
        return min(free, key=lambda worker: len(worker.input_sizes), default=None)

    def _begin(
        self, worker: Worker, demand: Demand, input_size: Size, *, is_first: bool, send: Send
    ) -> None:
        """Have a worker prepare for a size.

        If no other worker is prepared for it, the worker may discard other sizes to make room.

        Raises:
            OverBudgetError: There is still not enough memory.
        """
        height, width = demand.size
        what = f"{demand.stream.name}: the network for {width}x{height} pixels"
        num_bytes, forgotten = self._num_bytes(input_size), []
        free = self._budget.free + is_first * sum(map(self._num_bytes, worker.input_sizes))
        while len(worker.input_sizes) >= _MAX_SIZES or self._budget.free < num_bytes <= free:
            forgotten.append(self._drop_oldest(worker))
        self._budget.reserve(num_bytes, what=what)
        known = self._known.get(demand.stream, ())
        self._under_way[worker.name] = _WarmUp(
            demand, input_size, time.monotonic(), input_size not in known
        )
        worker.warming[demand.size] = None
        send(worker, WarmUp(demand.size, forgotten))

    def _drop_oldest(self, worker: Worker) -> Size:
        input_size = next(iter(worker.input_sizes))
        del worker.input_sizes[input_size]
        self._budget.give_back(self._num_bytes(input_size))
        return input_size

    def _num_bytes(self, input_size: Size) -> int:
        return self._bytes_per_pixel * input_size[0] * input_size[1]
