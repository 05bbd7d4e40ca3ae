"""Sinks by name."""

import difflib
from collections.abc import Callable
from pathlib import Path

from icstream.model import ConfigError, LabelSet
from icstream.stages.sinks.area_table import AreaTable
from icstream.stages.sinks.masks_video import MasksVideo
from icstream.stages.sinks.overlay_video import OverlayVideo
from icstream.stages.sinks.png_masks import PngMasks
from icstream.stages.sinks.rle_lines import RleLines
from icstream.stages.sinks.sink import Sink

SINKS: dict[str, Callable[[Path, LabelSet], Sink]] = {
    "masks": lambda folder, _labels: MasksVideo(folder),
    "overlay": OverlayVideo,
    "png": PngMasks,
    "rle": RleLines,
    "areas": AreaTable,
}
"""Makers of sinks, from the stream's folder and the label set."""


def check_sink(name: str) -> None:
    """Raises ConfigError, with the nearest known name, if there is no such sink."""
    if name not in SINKS:
        near = difflib.get_close_matches(name, SINKS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"sink: got {name!r}, known are {', '.join(SINKS)}{hint}")


def open_sink(name: str, *, folder: Path, labels: LabelSet) -> Sink:
    """Gives the sink of that name; it creates its files with the first frame.

    Raises:
        ConfigError: there is no such sink.
    """
    check_sink(name)
    return SINKS[name](folder, labels)
