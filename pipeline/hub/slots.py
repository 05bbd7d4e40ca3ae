"""The memory for slots: the right to have a frame in flight, and what its arrays take.

It is reserved from the run's budget before it is taken, wherever the arrays will lie, and goes back
only when no process can use it any more.
"""

import logging
from dataclasses import dataclass

from icstream.model.memory import MemoryBudget, OverBudgetError
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import MAX_BYTES, Slot
from icstream.pipeline.wire.shared_memory import Arena
from icstream.pipeline.wire.slot_size import SlotSize
from icstream.stages.items import Size

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Holding:
    """What the slots of one stream take of the memory."""

    stream: str
    """Its name, for errors."""
    is_live: bool
    """Whether it has no end, so that its memory will not become free."""
    num_bytes: int = 0


class SlotPool:
    """The memory for slots for frames of any size.

    Attributes:
        num_bytes: How much is reserved at present.
    """

    def __init__(self, arena: Arena | None, *, size: SlotSize, budget: MemoryBudget) -> None:
        """Take what decides how large a slot is, and how much memory there is.

        Args:
            arena: The shared memory; None where pixels travel in messages, and slots have no room.
            size: How large the slots of frames are.
            budget: What their memory is reserved from.
        """
        self.num_bytes = 0
        self._budget = budget
        self._arena = arena
        self._size = size
        self._warned = False
        self._holdings: list[Holding] = []
        """Of streams under way."""
        # Slots, and the workers that may be using them.
        self._retired: list[tuple[list[Worker], list[Slot]]] = []

    def hold(self, stream: str, *, is_live: bool) -> Holding:
        """Return the holding of a stream that has no slots yet."""
        holding = Holding(stream, is_live)
        self._holdings.append(holding)
        return holding

    def make(self, number: int, size: Size, holding: Holding) -> Slot:
        """Return a slot for frames of that size; one without room where there is no shared memory.

        Raises:
            OverBudgetError: There is not so much memory; the text names the stream.
        """
        num_bytes = self._size.num_bytes(size)
        what = f"{holding.stream}: a frame of {size[1]}x{size[0]} pixels"
        if self._size.has_too_large_array(size):
            raise OverBudgetError(f"{what}: needs more than the allowed {MAX_BYTES} bytes at once")
        self._budget.reserve(num_bytes, what=what)
        self.num_bytes += num_bytes
        holding.num_bytes += num_bytes
        start, stop = self._take(num_bytes)
        return Slot(number, start, stop, num_bytes)

    def take_back(self, slots: list[Slot], holding: Holding) -> None:
        """Take back slots of a stream under way that no process uses any more."""
        holding.num_bytes -= sum(slot.num_bytes for slot in slots)
        self.give_back(slots)

    def end(self, holding: Holding) -> None:
        """Note that a stream gets no more slots; those that it has will come back."""
        self._holdings.remove(holding)

    def may_come(self, size: Size, *, but: Holding, besides: int = 0) -> bool:
        """Return whether there will be a slot for frames of a size once other slots come back.

        Those of cameras do not, unless they are this stream's own.

        Args:
            size: Of the frames.
            but: The stream's own holding.
            besides: How many bytes of its own will not come back either.
        """
        kept = sum(other.num_bytes for other in self._holdings if other.is_live and other != but)
        free = self._budget.free + self.num_bytes - kept - besides
        return self._size.num_bytes(size) <= free and not self._size.has_too_large_array(size)

    def fits(self, slot: Slot, size: Size) -> bool:
        """Return whether a slot is large enough for frames of a size, and not far too large."""
        return slot.num_bytes // 2 <= self._size.num_bytes(size) <= slot.num_bytes

    def give_back(self, slots: list[Slot]) -> None:
        """Take back slots of a stream that has ended and that no process uses any more."""
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
        """Take back the retired slots that are free now."""
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
                log.warning("shared memory: %s; pixels travel in messages instead", error.strerror)
            self._warned = True
            return 0, 0
