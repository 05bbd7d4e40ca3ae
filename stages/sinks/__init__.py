"""Where finished frames go."""

from typing import Any

from icstream.model.renamed import warn_renamed
from icstream.stages.sinks.area_table import AreaTable
from icstream.stages.sinks.event_lines import EventLines
from icstream.stages.sinks.event_rules import EventRuleSettings, EventSettings
from icstream.stages.sinks.masks_video import MasksVideo
from icstream.stages.sinks.overlay_video import Blend, OverlayVideo
from icstream.stages.sinks.png_masks import PngMasks
from icstream.stages.sinks.registry import (
    SINKS,
    SinkContext,
    SinkMaker,
    open_sink,
    restart_point,
)
from icstream.stages.sinks.rle_lines import RleLines
from icstream.stages.sinks.rolling_video import RollingSettings, RollingVideo
from icstream.stages.sinks.sink import Part, Sink
from icstream.stages.sinks.supervisely_project import SuperviselyProject

__all__ = [
    "SINKS",
    "AreaTable",
    "Blend",
    "EventLines",
    "EventRuleSettings",
    "EventSettings",
    "MasksVideo",
    "OverlayVideo",
    "Part",
    "PngMasks",
    "RleLines",
    "RollingSettings",
    "RollingVideo",
    "Sink",
    "SinkContext",
    "SinkMaker",
    "SuperviselyProject",
    "open_sink",
    "restart_point",
]


def __getattr__(name: str) -> Any:
    if name != "RollingPlan":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn_renamed("icstream.stages.sinks.RollingPlan", "icstream.stages.sinks.RollingSettings")
    return RollingSettings
