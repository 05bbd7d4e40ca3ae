"""The slots of one stream: granted to the decoder, free, or without memory."""

from icstream.model.memory import OverBudgetError
from icstream.pipeline.hub.slots import Holding, SlotPool
from icstream.pipeline.wire.messages import Slot
from icstream.stages.items import Size


class StreamSlots:
    """The slots of one stream that hold no frame, sized for the frames that come.

    If memory is short, some slots are bare: they have no memory and are not granted.

    Attributes:
        free: Slots that are not in use.
        granted: Slots that the decoder may fill, by number.
        are_made: Whether slots have been made.
    """

    def __init__(self, pool: SlotPool, holding: Holding, *, window: int) -> None:
        """Start without slots.

        Args:
            pool: The pool that memory is taken from.
            holding: The stream's holding in the pool.
            window: The number of slots to make.
        """
        self._pool = pool
        self._holding = holding
        self._window = window
        self._bare: list[int] = []
        self._size: Size = (0, 0)
        self._wanted: Size | None = None
        """Size of a frame for which the decoder needs a larger slot."""
        self.free: list[Slot] = []
        self.granted: dict[int, Slot] = {}
        self.are_made = False

    def make(self, size: Size) -> None:
        """Make slots for frames of a size, as many as there is memory for."""
        self._size = size
        self._bare = list(range(self._window))
        self.are_made = True
        self.fill()

    @property
    def all(self) -> list[Slot]:
        """The slots that have memory and hold no frame."""
        return [*self.free, *self.granted.values()]

    @property
    def num_in_use(self) -> int:
        """The number of slots that hold frames."""
        return self._window - len(self._bare) - len(self.free) - len(self.granted)

    def are_used_up_by(self, num_frames: int) -> bool:
        """Return whether this many frames occupy all slots for which there will be memory."""
        if self.all or self.num_in_use > num_frames:
            return False
        holding = self._holding
        return not self._bare or not self._pool.may_come(
            self._size, but=holding, besides=holding.num_bytes
        )

    def grant(self, *, at_most: int | None = None) -> list[Slot]:
        """Mark free slots, at most the given number, as granted, and return them."""
        count = len(self.free) if at_most is None else at_most
        slots, self.free = self.free[:count], self.free[count:]
        self.granted.update({slot.number: slot for slot in slots})
        return slots

    def fill_granted(self, slot: Slot) -> bool:
        """Record that a granted slot was filled; return False if it was not granted."""
        granted = self.granted.get(slot.number)
        if granted is None or (granted.start, granted.stop) != (slot.start, slot.stop):
            return False
        del self.granted[slot.number]
        return True

    def take_back(self, slot: Slot, size: Size) -> None:
        """Take back the slot of a finished frame, whose size the next frame probably shares."""
        if self._wanted is None and self._pool.fits(slot, size):
            self.free.append(slot)
            return
        self._strip([slot])
        self._size = size
        self.fill()

    def take_granted(self) -> None:
        """Take back the slots of a lost decoder."""
        self._wanted = None
        self.free += self.grant_back(list(self.granted))

    def grant_back(self, numbers: list[int]) -> list[Slot]:
        """Take back granted slots by number, and return them."""
        return [self.granted.pop(number) for number in numbers if number in self.granted]

    def want(self, size: Size, numbers: list[int]) -> None:
        """Record that the decoder needs a larger slot and returns its slots."""
        self._strip(self.grant_back(numbers))
        self._strip(self.free)
        self.free = []
        self._wanted = size

    def settle_want(self) -> str | None:
        """Make a slot of the size that the decoder needs, if there is memory.

        Returns:
            Why there will be none; None if it was made, or if memory may still become free.
        """
        if self._wanted is None or not self._bare:
            return None
        try:
            self._make(self._wanted)
        except OverBudgetError as error:
            if self._pool.may_come(self._wanted, but=self._holding):
                return None
            self._wanted = None
            self.fill()
            return str(error)
        self._size, self._wanted = self._wanted, None
        self.fill()
        return None

    def fill(self) -> None:
        """Give memory to bare slots while there is some.

        If no slot has memory, one is made without, to learn the size of the next frame.
        """
        if self._wanted is not None:
            return
        try:
            while self._bare:
                self._make(self._size)
        except OverBudgetError:
            if not self.all and not self.num_in_use:
                self.free.append(Slot(self._bare.pop()))

    def end(self) -> list[Slot]:
        """Return the slots that hold no frame when the stream ends; a worker may be using them."""
        self._pool.end(self._holding)
        return self.all

    def _make(self, size: Size) -> None:
        slot = self._pool.make(self._bare[-1], size, self._holding)
        self._bare.pop()
        self.free.append(slot)

    def _strip(self, slots: list[Slot]) -> None:
        self._pool.take_back(slots, self._holding)
        self._bare += [slot.number for slot in slots]
