"""Slots: the right to have a frame in flight, and the memory for it.

Every stream has as many slots as its window is wide. A slot is with the decoder, which may fill it,
or with a frame, or free; it goes back to the shared memory only when no process can use it.
"""

import logging

from icstream.model.geometry import Fit, canvas_size
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import Slot
from icstream.pipeline.wire.shared_memory import Arena, align
from icstream.stages.items import Size

log = logging.getLogger(__name__)


class SlotPool:
    """The memory for slots for frames of any size."""

    def __init__(self, arena: Arena | None, *, fit: Fit, num_classes: int) -> None:
        """Take what decides how large a slot must be.

        Args:
            arena: The shared memory; None where pixels travel in messages, and slots have no room.
            fit: How frames become inputs of the network.
            num_classes: The number of classes of the network.
        """
        self._arena = arena
        self._fit = fit
        self._num_classes = num_classes
        self._warned = False
        # Slots, and the workers that may be using them.
        self._retired: list[tuple[list[Worker], list[Slot]]] = []

    def make(self, number: int, size: Size) -> Slot:
        """Return a slot for frames of that size; one without room if there is no more memory."""
        if self._arena is None:
            return Slot(number)
        try:
            return Slot(number, *self._arena.take(self.frame_bytes(size)))
        except OSError as error:
            if not self._warned:
                log.warning("shared memory: %s; pixels travel in messages instead", error.strerror)
            self._warned = True
            return Slot(number)

    def fitting(self, slot: Slot, size: Size) -> Slot:
        """Return the slot, or a larger one in its place if frames have grown."""
        if self._arena is None or self.frame_bytes(size) <= slot.stop - slot.start:
            return slot
        self.give_back([slot])
        return self.make(slot.number, size)

    def frame_bytes(self, size: Size) -> int:
        """Return the bytes that all arrays of a frame take: canvas, network input, scores."""
        geometry, canvas = self._fit.geometry(size), canvas_size(size)
        height, width = geometry.outer
        nodes = ((height - 1) // 8 + 1) * ((width - 1) // 8 + 1)
        arrays = (3 * canvas[0] * canvas[1], 3 * height * width, 4 * self._num_classes * nodes)
        return sum(align(num_bytes) for num_bytes in arrays)

    def give_back(self, slots: list[Slot]) -> None:
        """Take back slots that no process uses any more."""
        for slot in slots:
            if self._arena is not None and slot.stop:
                self._arena.give_back((slot.start, slot.stop))

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
