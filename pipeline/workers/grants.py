"""The slots that a decode worker was granted, and what it asks for where they are too small."""

from collections import deque

from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.messages import Finish, Grant, NeedRoom, NoRoom, Slot
from icstream.pipeline.wire.slot_size import SlotSize
from icstream.stages.items import Size

NO_MEMORY = "not enough memory"
"""The reason of frames for which there was no room."""


class Grants:
    """The slots that a decode worker may fill.

    Attributes:
        stopped: Whether the hub needs no more frames.
    """

    def __init__(self, connection: WorkerConnection, slot_size: SlotSize) -> None:
        self._connection = connection
        self._slot_size = slot_size
        self._slots: deque[Slot] = deque()
        self._refusal: str | None = None
        self.stopped = False

    @property
    def first(self) -> Slot | None:
        """The slot for the next frame, if that is as large as expected; None if there is none."""
        return self._slots[0] if self._slots else None

    def receive(self, timeout_s: float) -> None:
        """Take what the hub has sent; wait for it at most so long."""
        while (received := self._connection.receive(timeout_s)) is not None:
            match received[0]:
                case Grant(slots=slots):
                    self._slots.extend(slots)
                case NoRoom(reason=reason):
                    self._refusal = reason
                case Finish():
                    self.stopped = True
            timeout_s = 0

    def take(self, size: Size) -> Slot | None:
        """Return a slot for a frame of that size; None if there is none yet.

        If there are only smaller ones, they are given back, and the hub is asked for room.
        """
        num_bytes = self._slot_size.num_bytes(size)
        for slot in self._slots:
            if max(slot.stop - slot.start, slot.num_bytes) >= num_bytes:
                self._slots.remove(slot)
                return slot
        if self._slots:
            numbers = [slot.number for slot in self._slots]
            self._slots.clear()
            self._connection.link.send(NeedRoom(size, numbers))
        return None

    def take_refusal(self) -> str | None:
        """Return, once, why there is no room for the frame that it was asked for."""
        refusal, self._refusal = self._refusal, None
        return refusal
