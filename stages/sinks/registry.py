"""The sinks by name, including those of other packages."""

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeAlias

from icstream.model import ConfigError, LabelSet
from icstream.stages.sinks import area_table, event_lines, rle_lines
from icstream.stages.sinks.area_table import AreaTable
from icstream.stages.sinks.event_lines import EventLines
from icstream.stages.sinks.event_rules import EventSettings
from icstream.stages.sinks.masks_video import MasksVideo
from icstream.stages.sinks.overlay_video import OverlayVideo
from icstream.stages.sinks.png_masks import PngMasks, png_files
from icstream.stages.sinks.rle_lines import RleLines
from icstream.stages.sinks.rolling_index import rolling_files
from icstream.stages.sinks.rolling_settings import RollingSettings
from icstream.stages.sinks.rolling_video import RollingVideo
from icstream.stages.sinks.sink import Sink
from icstream.stages.sinks.supervisely_project import SuperviselyProject, project_files
from icstream.stages.sinks.video_sink import video_files

ENTRY_POINTS = "icstream.sinks"
"""The entry point group for sink factories of other packages."""


@dataclass(frozen=True, slots=True)
class SinkContext:
    """The arguments of a sink."""

    folder: Path
    """The folder for the stream's results, which the sink creates with its first frame."""
    labels: LabelSet
    """The classes of the frames' ids."""
    source: Path | None
    """The recording that the frames come from; None for other sources."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of a sink of another package as plain values, from `output.options.NAME`."""
    rolling: RollingSettings = field(default_factory=RollingSettings)
    """The settings of the sink `rolling`."""
    events: EventSettings = field(default_factory=EventSettings)
    """The settings of the sink `events`."""


SinkMaker: TypeAlias = Callable[[SinkContext], Sink]
"""Returns a sink; what an entry point names."""

SINKS: dict[str, SinkMaker] = {
    "masks": lambda context: MasksVideo(context.folder),
    "overlay": lambda context: OverlayVideo(context.folder, context.labels),
    "png": lambda context: PngMasks(context.folder, context.labels),
    "rle": lambda context: RleLines(context.folder, context.labels),
    "areas": lambda context: AreaTable(context.folder, context.labels),
    "supervisely": lambda context: SuperviselyProject(
        context.folder, context.labels, source=context.source
    ),
    "rolling": lambda context: RollingVideo(context.folder, context.labels, context.rolling),
    "events": lambda context: EventLines(context.folder, context.labels, context.events),
}
"""The built-in sinks."""

FileFinder: TypeAlias = Callable[[Path, Collection[str]], Iterable[Path]]
"""A function from a stream's folder and the names of its source files to the sink's files."""

_FINDERS: dict[str, FileFinder] = {
    "masks": lambda folder, _: video_files(folder, "masks"),
    "overlay": lambda folder, _: video_files(folder, "overlay"),
    "png": png_files,
    "rle": lambda folder, _: _present(folder, rle_lines.FILE),
    "areas": lambda folder, _: _present(folder, area_table.FILE),
    "supervisely": project_files,
    "rolling": lambda folder, _: rolling_files(folder),
    "events": lambda folder, _: _present(folder, event_lines.FILE, event_lines.STATE_FILE),
}
_NO_LIMIT = 2**63 - 1
"""A number of frames larger than that of any stream."""


def open_sink(
    name: str, context: SinkContext, *, extra_sinks: Mapping[str, SinkMaker] | None = None
) -> Sink:
    """Return the sink with a name, which creates its files with the first frame.

    Args:
        name: The name of the sink.
        context: The arguments of the sink.
        extra_sinks: Factories, by name, of sinks that need what `stages` may not import.

    Raises:
        ConfigError: There is no such sink, or it does not support this source.
    """
    makers = {**SINKS, **(extra_sinks or {})}
    if name in makers:
        return makers[name](context)
    plugins = _plugins()
    if name not in plugins:
        known = [*makers, *plugins]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"sink: got {name!r}, allowed are {', '.join(known)}{hint}")
    maker: SinkMaker = plugins[name].load()
    return maker(context)


def check_plugin_names(names: Iterable[str], *, key: str) -> None:
    """Check that settings are for sinks of other packages that are installed.

    Args:
        names: The names of the sinks.
        key: The setting that holds the names.

    Raises:
        ConfigError: There is no such sink, or it is a built-in one.
    """
    plugins = list(_plugins())
    for name in names:
        if name not in plugins:
            near = difflib.get_close_matches(name, plugins, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{key}: got {name!r}, allowed are installed sinks of other packages:"
                f" {', '.join(plugins) or 'there are none'}{hint}"
            )


def find_written(sink: str, folder: Path, source_names: Collection[str]) -> list[Path]:
    """Yield the files in a stream's folder that only this sink can have written.

    Args:
        sink: The name of the sink; sinks of other packages manage their own files.
        folder: The folder of the stream's results.
        source_names: The names of the stream's recording or images.
    """
    find = _FINDERS.get(sink)
    return sorted(find(folder, source_names)) if find is not None else []


def _present(folder: Path, *names: str) -> Iterator[Path]:
    return (folder / name for name in names if (folder / name).is_file())


def restart_point(sinks: Sequence[Sink]) -> int:
    """Return the number of frames after which every sink can continue.

    A sink may have to restart at an earlier frame than the others, which are then queried again
    until all agree.
    """
    if not sinks:
        return 0
    agreed = _NO_LIMIT
    while (lowest := min(sink.restart_point(agreed) for sink in sinks)) < agreed:
        agreed = lowest
    return agreed


@lru_cache(maxsize=1)
def _plugins() -> dict[str, EntryPoint]:
    return {plugin.name: plugin for plugin in entry_points(group=ENTRY_POINTS)}
