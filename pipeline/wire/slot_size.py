"""The sizes of slots for frames."""

from dataclasses import dataclass
from functools import lru_cache

from icstream.model.geometry import Fit, canvas_size, input_fault
from icstream.pipeline.wire.messages import MAX_BYTES
from icstream.pipeline.wire.shared_memory import PAGE, align
from icstream.stages.items import Size


@dataclass(frozen=True, slots=True)
class SlotSize:
    """The rule for the sizes of slots."""

    fit: Fit
    """Fitting of frames to the network."""
    num_classes: int
    """Number of classes of the network."""

    def num_bytes(self, size: Size) -> int:
        """Return the bytes of all arrays of a frame of (height, width), in whole pages."""
        return _num_bytes(self, size)

    def fault(self, size: Size) -> str | None:
        """Return why frames of (height, width) are too large for any slot, or None."""
        if max(_arrays(self, size)) > MAX_BYTES:
            return f"needs an array larger than the allowed {MAX_BYTES} bytes"
        return input_fault(self.fit.geometry(size))


@lru_cache(maxsize=64)
def _num_bytes(slot_size: SlotSize, size: Size) -> int:
    return align(sum(align(num_bytes) for num_bytes in _arrays(slot_size, size)), PAGE)


def _arrays(slot_size: SlotSize, size: Size) -> tuple[int, int, int]:
    """Return the bytes of the canvas, the network's input and the scores."""
    canvas, outer = canvas_size(size), slot_size.fit.geometry(size).outer
    nodes = ((outer[0] - 1) // 8 + 1) * ((outer[1] - 1) // 8 + 1)
    scores = 4 * slot_size.num_classes * nodes
    return 3 * canvas[0] * canvas[1], 3 * outer[0] * outer[1], scores
