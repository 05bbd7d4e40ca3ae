"""Sinks, which write the results of finished frames.

The sinks themselves are imported on first use, so that settings can be read without them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from icstream.model.renamed import warn_renamed
from icstream.stages.sinks.event_rules import EventRuleSettings, EventSettings
from icstream.stages.sinks.rolling_settings import RollingSettings
from icstream.stages.sinks.sink import Part, Sink

if TYPE_CHECKING:
    from icstream.stages.sinks.area_table import AreaTable
    from icstream.stages.sinks.event_lines import EventLines
    from icstream.stages.sinks.masks_video import MasksVideo
    from icstream.stages.sinks.overlay_video import Blend, OverlayVideo
    from icstream.stages.sinks.png_masks import PngMasks
    from icstream.stages.sinks.registry import (
        SINKS,
        SinkContext,
        SinkMaker,
        find_written,
        open_sink,
        restart_point,
    )
    from icstream.stages.sinks.rle_lines import RleLines
    from icstream.stages.sinks.rolling_video import RollingVideo
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
    "find_written",
    "open_sink",
    "restart_point",
]

_ON_FIRST_USE = {
    "SINKS": "registry",
    "AreaTable": "area_table",
    "Blend": "overlay_video",
    "EventLines": "event_lines",
    "MasksVideo": "masks_video",
    "OverlayVideo": "overlay_video",
    "PngMasks": "png_masks",
    "RleLines": "rle_lines",
    "RollingVideo": "rolling_video",
    "SinkContext": "registry",
    "SinkMaker": "registry",
    "SuperviselyProject": "supervisely_project",
    "find_written": "registry",
    "open_sink": "registry",
    "restart_point": "registry",
}


def __getattr__(name: str) -> Any:
    if name == "RollingPlan":
        warn_renamed("icstream.stages.sinks.RollingPlan", "icstream.stages.sinks.RollingSettings")
        return RollingSettings
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ON_FIRST_USE[name]}"), name)
