"""The properties of a stream that are fixed before it begins."""

from dataclasses import dataclass, field

from icstream.stages.live.settings import LiveSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """The reading of a stream, and its policy for frames that workers have no time for."""

    settings: LiveSettings = field(default_factory=LiveSettings)
    freshest: bool = False
    """Whether the newest frame is processed first and older ones that no worker has started are
    dropped; otherwise every frame is processed in order."""
