"""The lease of a frame in flight, which only `LeaseTable` changes."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from icstream.model import Geometry
from icstream.pipeline.hub.losses import Losses
from icstream.pipeline.hub.stage_counts import STAGES
from icstream.pipeline.wire.messages import Pixels, Slot, StageSpan
from icstream.stages import FrameMeta


class LeaseState(Enum):
    """The state of a leased frame."""

    WAITING = "waiting"
    """The frame waits for a worker of its stage."""
    HELD = "held"
    """A worker of its stage has the frame."""
    ABANDONED = "abandoned"
    """The frame was dropped, but a worker may still be using its slot."""
    OUT = "out"
    """The frame is durable, failed or dropped, and nothing uses its slot."""


@dataclass(slots=True, eq=False)
class Lease:
    """A frame in flight."""

    meta: FrameMeta
    slot: Slot
    section: int = 0
    """Number of format changes before the frame."""
    stage: str = STAGES[0]
    """Stage that the frame is in or waits for."""
    state: LeaseState = LeaseState.WAITING
    begins_part: bool = False
    """Whether the encode worker begins a new part with the frame."""
    done_before: bool = False
    """Whether the frame is already in the files, so that only its order matters."""
    geometry: Geometry | None = None
    """Geometry of the network's input; None before it is made."""
    arrays: dict[str, tuple[Pixels, Any]] = field(default_factory=dict)
    """Location of each array, by field, with the message that holds it if it is not in shared
    memory."""
    served: dict[str, StageSpan] = field(default_factory=dict)
    """Time span of each stage's work on the frame."""
    part: int = 0
    """Number of the part that the frame was written to."""
    losses: Losses = field(default_factory=Losses)
    """Workers of the present stage that were lost at the frame."""

    @property
    def is_at_writer(self) -> bool:
        """Whether the encode worker has the frame."""
        return self.state is LeaseState.HELD and self.stage == "encode"

    def room(self) -> tuple[int, int]:
        """Return the half-open range of the slot that holds no array."""
        used = [p.offset + p.num_bytes for p, _ in self.arrays.values() if p.offset is not None]
        return max([self.slot.start, *used]), self.slot.stop
