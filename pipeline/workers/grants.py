"""The slots granted to a decode worker, and its requests for larger ones."""

from collections import deque

from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.messages import Finish, Grant, NeedRoom, NoRoom, Slot
from icstream.pipeline.wire.slot_size import SlotSize
from icstream.stages.items import Size

NO_MEMORY = "not enough memory"
"""Reason of frames that failed for lack of memory."""


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
        """The slot for the next frame, unless that is larger than expected, or None."""
        return self._slots[0] if self._slots else None

    def receive(self, timeout_s: float) -> None:
        """Receive messages from the hub, waiting at most the given time for the first."""
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
        """Return a slot for a frame of a size, or None if there is none yet.

        If all slots are too small, they are returned to the hub with a request for a larger one.
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
        """Return, once, why the hub refused a larger slot."""
        refusal, self._refusal = self._refusal, None
        return refusal
