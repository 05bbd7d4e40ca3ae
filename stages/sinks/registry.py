"""Sinks by name: ours, and those of other packages."""

import difflib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeAlias

from icstream.model import ConfigError, LabelSet
from icstream.stages.sinks.area_table import AreaTable
from icstream.stages.sinks.event_lines import EventLines
from icstream.stages.sinks.masks_video import MasksVideo
from icstream.stages.sinks.overlay_video import OverlayVideo
from icstream.stages.sinks.png_masks import PngMasks
from icstream.stages.sinks.rle_lines import RleLines
from icstream.stages.sinks.rolling_video import RollingPlan, RollingVideo
from icstream.stages.sinks.sink import Sink
from icstream.stages.sinks.supervisely_project import SuperviselyProject

ENTRY_POINTS = "icstream.sinks"
"""Group of entry points under which other packages offer makers of sinks."""


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink is told when it is made."""

    folder: Path
    """Of the stream's results; made by the sink, with its first frame."""
    labels: LabelSet
    """The classes whose ids will come."""
    source: Path | None
    """The recording that the frames come from; None if they come from something else."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of this sink, as plain values."""


SinkMaker: TypeAlias = Callable[[SinkContext], Sink]

SINKS: dict[str, SinkMaker] = {
    "masks": lambda context: MasksVideo(context.folder),
    "overlay": lambda context: OverlayVideo(context.folder, context.labels),
    "png": lambda context: PngMasks(context.folder, context.labels),
    "rle": lambda context: RleLines(context.folder, context.labels),
    "areas": lambda context: AreaTable(context.folder, context.labels),
    "supervisely": lambda context: SuperviselyProject(
        context.folder, context.labels, source=context.source
    ),
    "rolling": lambda context: RollingVideo(
        context.folder, context.labels, RollingPlan(**context.settings)
    ),
    "events": lambda context: EventLines(
        context.folder, context.labels, context.settings.get("rules", ())
    ),
}
"""The sinks that come with icstream."""


@lru_cache(maxsize=1)
def _others() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=ENTRY_POINTS)}


def check_sink(name: str, *, extra_sinks: Collection[str] = ()) -> None:
    """Raises ConfigError, with the nearest known name, if there is no such sink."""
    known = [*SINKS, *extra_sinks, *_others()]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"sink: got {name!r}, known are {', '.join(known)}{hint}")


def open_sink(
    name: str, context: SinkContext, *, extra_sinks: Mapping[str, SinkMaker] | None = None
) -> Sink:
    """Gives the sink of that name; it creates its files with the first frame.

    Args:
        name: of the sink.
        context: what it is told.
        extra_sinks: sinks that cannot lie here, by name, because they need more than files.

    Raises:
        ConfigError: there is no such sink, or it cannot serve this source.
    """
    makers = {**SINKS, **(extra_sinks or {})}
    check_sink(name, extra_sinks=extra_sinks or ())
    maker: SinkMaker = makers[name] if name in makers else _others()[name].load()
    return maker(context)


def restart_point(sinks: Sequence[Sink]) -> int:
    """Gives the number of frames that every sink has whole, and after which every one can go on."""
    num_done = sys.maxsize
    while sinks:
        lowest = min(sink.restart_point(num_done) for sink in sinks)
        if lowest == num_done:
            return num_done
        num_done = lowest
    return 0
