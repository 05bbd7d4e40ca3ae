"""The slots of a run, each of which holds the arrays of one frame in flight.

Their memory is reserved from the run's budget before it is allocated, wherever the arrays are, and
is returned only when no process can use it any more.
"""

import logging
from dataclasses import dataclass

from icstream.model.memory import MemoryBudget, OverBudgetError
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import Slot
from icstream.pipeline.wire.shared_memory import Arena
from icstream.pipeline.wire.slot_size import SlotSize
from icstream.stages.items import Size

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Holding:
    """The memory held by the slots of one stream."""

    stream: str
    """Name of the stream, for errors."""
    is_live: bool
    """Whether the stream has no end, so that its memory will not become free."""
    num_bytes: int = 0


class SlotPool:
    """The memory of slots for frames of any size.

    Attributes:
        num_bytes: Number of bytes reserved at present.
    """

    def __init__(self, arena: Arena | None, *, size: SlotSize, budget: MemoryBudget) -> None:
        """Start without slots.

        Args:
            arena: The shared memory; None if pixels travel in messages and slots are empty.
            size: The rule for the sizes of slots.
            budget: The budget from which the memory is reserved.
        """
        self.num_bytes = 0
        self._budget = budget
        self._arena = arena
        self._size = size
        self._warned = False
        self._holdings: list[Holding] = []
        """Holdings of the active streams."""
        # Retired slots, with the workers that may still use them.
        self._retired: list[tuple[list[Worker], list[Slot]]] = []

    def hold(self, stream: str, *, is_live: bool) -> Holding:
        """Return the holding of a new stream."""
        holding = Holding(stream, is_live)
        self._holdings.append(holding)
        return holding

    def make(self, number: int, size: Size, holding: Holding) -> Slot:
        """Return a slot for frames of a size; it is empty without shared memory."""
        num_bytes = self._size.num_bytes(size)
        what = f"{holding.stream}: a frame of {size[1]}x{size[0]} pixels"
        if (fault := self._size.fault(size)) is not None:
            raise OverBudgetError(f"{what}: {fault}")
        self._budget.reserve(num_bytes, what=what)
        self.num_bytes += num_bytes
        holding.num_bytes += num_bytes
        start, stop = self._take(num_bytes)
        return Slot(number, start, stop, num_bytes)

    def take_back(self, slots: list[Slot], holding: Holding) -> None:
        """Take back slots of an active stream that no process uses any more."""
        holding.num_bytes -= sum(slot.num_bytes for slot in slots)
        self.give_back(slots)

    def end(self, holding: Holding) -> None:
        """Record that a stream gets no more slots; its present ones will be returned."""
        self._holdings.remove(holding)

    def may_come(self, size: Size, *, but: Holding, besides: int = 0) -> bool:
        """Return whether a slot for frames of a size can exist once other slots are returned.

        Slots of cameras are not returned, except this stream's own.

        Args:
            size: The size of the frames.
            but: The holding of the stream itself.
            besides: Bytes of its own that will not be returned either.
        """
        kept = sum(other.num_bytes for other in self._holdings if other.is_live and other != but)
        free = self._budget.free + self.num_bytes - kept - besides
        return self._size.num_bytes(size) <= free and self._size.fault(size) is None

    def fits(self, slot: Slot, size: Size) -> bool:
        """Return whether a slot is large enough for frames of a size, but not far too large."""
        return slot.num_bytes // 2 <= self._size.num_bytes(size) <= slot.num_bytes

    def give_back(self, slots: list[Slot]) -> None:
        """Take back slots of an ended stream that no process uses any more."""
        for slot in slots:
            if self._arena is not None and slot.stop:
                self._arena.give_back((slot.start, slot.stop))
            self._budget.give_back(slot.num_bytes)
            self.num_bytes -= slot.num_bytes

    def retire(self, slots: list[Slot], workers: list[Worker]) -> None:
        """Take back slots as soon as these workers have ended."""
        self._retired.append((workers, slots))
        self.collect()

    def collect(self) -> None:
        """Take back the retired slots whose workers have ended."""
        for entry in list(self._retired):
            workers, slots = entry
            if not any(worker.is_running() for worker in workers):
                self._retired.remove(entry)
                self.give_back(slots)

    def _take(self, num_bytes: int) -> tuple[int, int]:
        if self._arena is None:
            return 0, 0
        try:
            return self._arena.take(num_bytes)
        except OSError as error:
            if not self._warned:
                log.warning("shared memory: %s; sending pixels in messages instead", error.strerror)
            self._warned = True
            return 0, 0
