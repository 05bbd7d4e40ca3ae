"""A lease: all that is kept of a frame under way. Only `LeaseTable` changes one."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from icstream.model import Geometry
from icstream.pipeline.hub.losses import Losses
from icstream.pipeline.hub.stage_counts import STAGES
from icstream.pipeline.wire.messages import Pixels, Slot, StageSpan
from icstream.stages import FrameMeta


class LeaseState(Enum):
    """Where a leased frame is."""

    WAITING = "waiting"
    """It waits for a worker of its stage."""
    HELD = "held"
    """A worker of its stage has it."""
    ABANDONED = "abandoned"
    """It was dropped and goes no further, but a worker may still be using its slot."""
    OUT = "out"
    """It is durable, failed or dropped, and nobody uses its slot."""


@dataclass(slots=True, eq=False)
class Lease:
    """A frame under way."""

    meta: FrameMeta
    slot: Slot
    section: int = 0
    """How often the format changed before it."""
    stage: str = STAGES[0]
    """Where it is, or what it waits for."""
    state: LeaseState = LeaseState.WAITING
    begins_part: bool = False
    """Whether the encode worker begins a new part with it."""
    done_before: bool = False
    """Whether it is in the files already, so that only the order matters."""
    geometry: Geometry | None = None
    """Of the network's input; None before that is made."""
    arrays: dict[str, tuple[Pixels, Any]] = field(default_factory=dict)
    """By field: where it lies, and the message that holds it if it is not in shared memory."""
    served: dict[str, StageSpan] = field(default_factory=dict)
    """When each stage worked on it."""
    part: int = 0
    """The number of the part that it was written to."""
    losses: Losses = field(default_factory=Losses)
    """Workers of its present stage that were lost at it."""

    @property
    def is_at_writer(self) -> bool:
        """Whether the encode worker has it."""
        return self.state is LeaseState.HELD and self.stage == "encode"

    def room(self) -> tuple[int, int]:
        """Return the part of the slot that no array lies in, as a half-open range."""
        used = [p.offset + p.num_bytes for p, _ in self.arrays.values() if p.offset is not None]
        return max([self.slot.start, *used]), self.slot.stop
