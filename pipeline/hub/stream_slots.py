"""The slots of one stream: with the decoder, free, or without memory."""

from icstream.model.memory import OverBudgetError
from icstream.pipeline.hub.slots import Holding, SlotPool
from icstream.pipeline.wire.messages import Slot
from icstream.stages.items import Size


class StreamSlots:
    """Keeps the slots of one stream that hold no frame, and sizes them by the frames that come.

    Where memory is short, some are bare: they have no memory, and are not granted.

    Attributes:
        free: Those that nobody uses.
        granted: Those that the decoder may fill, by number.
        are_made: Whether there are slots yet.
    """

    def __init__(self, pool: SlotPool, holding: Holding, *, window: int) -> None:
        """Begin without slots.

        Args:
            pool: Where memory comes from.
            holding: What they take of it, nothing yet.
            window: How many slots there are to be.
        """
        self._pool = pool
        self._holding = holding
        self._window = window
        self._bare: list[int] = []
        self._size: Size = (0, 0)
        self._wanted: Size | None = None
        """The size of a frame for which the decoder needs room."""
        self.free: list[Slot] = []
        self.granted: dict[int, Slot] = {}
        self.are_made = False

    def make(self, size: Size) -> None:
        """Make as many slots as there is memory for, for frames of a size."""
        self._size = size
        self._bare = list(range(self._window))
        self.are_made = True
        self.fill()

    @property
    def all(self) -> list[Slot]:
        """Slots that hold no frame, and have memory."""
        return [*self.free, *self.granted.values()]

    @property
    def num_in_use(self) -> int:
        """How many slots hold frames."""
        return self._window - len(self._bare) - len(self.free) - len(self.granted)

    def are_used_up_by(self, num_frames: int) -> bool:
        """Return whether so many frames have all the slots that there will be memory for."""
        if self.all or self.num_in_use > num_frames:
            return False
        holding = self._holding
        return not self._bare or not self._pool.may_come(
            self._size, but=holding, besides=holding.num_bytes
        )

    def grant(self, *, at_most: int | None = None) -> list[Slot]:
        """Return the free slots, or so many of them: the decoder gets them."""
        count = len(self.free) if at_most is None else at_most
        slots, self.free = self.free[:count], self.free[count:]
        self.granted.update({slot.number: slot for slot in slots})
        return slots

    def fill_granted(self, slot: Slot) -> bool:
        """Note that a frame came in a slot; return False if the decoder was not granted that."""
        granted = self.granted.get(slot.number)
        if granted is None or (granted.start, granted.stop) != (slot.start, slot.stop):
            return False
        del self.granted[slot.number]
        return True

    def take_back(self, slot: Slot, size: Size) -> None:
        """Take the slot of a frame that is through, whose size the next one probably has."""
        if self._wanted is None and self._pool.fits(slot, size):
            self.free.append(slot)
            return
        self._strip([slot])
        self._size = size
        self.fill()

    def take_granted(self) -> None:
        """Take back what the decoder had, as it is gone."""
        self._wanted = None
        self.free += self.grant_back(list(self.granted))

    def grant_back(self, numbers: list[int]) -> list[Slot]:
        """Return the slots of these numbers that the decoder had, and has no more."""
        return [self.granted.pop(number) for number in numbers if number in self.granted]

    def want(self, size: Size, numbers: list[int]) -> None:
        """Note that the decoder needs room for a frame, and gives back slots that are too small."""
        self._strip(self.grant_back(numbers))
        self._strip(self.free)
        self.free = []
        self._wanted = size

    def settle_want(self) -> str | None:
        """Find room for what the decoder needs, if there is memory by now.

        Returns:
            Why there will be none; None if it was found, or may still become free.
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
        """Give memory to bare slots, as far as there is some.

        At least one is there to find out of what size the next frame is, even without memory.
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
        """Return those that hold no frame, as the stream has ended; a worker may be using them."""
        self._pool.end(self._holding)
        return self.all

    def _make(self, size: Size) -> None:
        slot = self._pool.make(self._bare[-1], size, self._holding)
        self._bare.pop()
        self.free.append(slot)

    def _strip(self, slots: list[Slot]) -> None:
        self._pool.take_back(slots, self._holding)
        self._bare += [slot.number for slot in slots]
