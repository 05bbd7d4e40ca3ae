"""What is fixed of a stream before it begins."""

from dataclasses import dataclass, field

from icstream.stages.live.settings import LiveSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """How a stream is read, and how frames are treated that no worker has time for."""

    settings: LiveSettings = field(default_factory=LiveSettings)
    freshest: bool = False
    """The newest frame goes first, and older ones that no worker has begun are dropped; else every
    frame waits for its turn."""
