"""The planned streams of a run, from settings and arguments."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from icstream.model import ConfigError
from icstream.model.shown import escape
from icstream.pipeline.output import RESERVED_NAMES
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.settings.live import StreamSettings, merge_live
from icstream.pipeline.settings.run import RunConfig
from icstream.stages.decode.find import SourceSpec, find_source, find_sources, name_apart
from icstream.stages.decode.tracks import select_tracks

log = logging.getLogger(__name__)

_MAX_NAMES_SHOWN = 10
_IMAGE_SINKS = ["png"]
_VIDEO_SINKS = ["masks", "overlay"]


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One planned stream."""

    spec: SourceSpec
    sinks: list[str]
    live: LivePlan
    """Settings of live sources; for recordings only the policy is used."""


@dataclass(frozen=True, slots=True)
class LeftOutFiles:
    """Files in a folder or pattern that belong to no stream."""

    source: str
    """Folder or pattern, in printable form."""
    reason: str
    files: list[str]
    """Names of the files."""

    def __str__(self) -> str:
        names = ", ".join(self.files[:_MAX_NAMES_SHOWN])
        more = len(self.files) - _MAX_NAMES_SHOWN
        return f"{names}{f' and {more} more' if more > 0 else ''} ({self.reason})"


@dataclass(frozen=True, slots=True)
class StreamPlans:
    """All planned streams of a run."""

    plans: list[StreamPlan]
    left_out: list[LeftOutFiles] = field(default_factory=list)


def plan_streams(config: RunConfig, arguments: Sequence[str]) -> StreamPlans:
    """Return the streams of a run: those of the settings, then those of the arguments.

    Files in a folder that are left out are logged on one line.

    Raises:
        ConfigError: a source does not exist, or there is no source.
    """
    # The schema would reject names with bytes that are not UTF-8.
    given = [StreamSettings.model_construct(source=argument) for argument in arguments]
    entries = [*config.streams, *given]
    if not entries:
        find_sources([])  # raises an error that lists what is allowed
    plans: list[StreamPlan] = []
    left_out: list[LeftOutFiles] = []
    for entry in entries:
        found = find_source(entry.source)
        plans += _of_entry(config, entry, found.specs)
        left_out += _log_left_out(entry.source, found.left_out)
    names = name_apart([plan.spec for plan in plans], reserved=RESERVED_NAMES)
    named = [replace(plan, spec=spec) for plan, spec in zip(plans, names, strict=True)]
    return StreamPlans(named, left_out)


def _log_left_out(source: str, files: Mapping[str, list[str]]) -> list[LeftOutFiles]:
    left_out = [LeftOutFiles(escape(source), reason, names) for reason, names in files.items()]
    if left_out:
        log.info("%s: left out: %s", source, "; ".join(map(str, left_out)))
    return left_out


def _of_entry(
    config: RunConfig, entry: StreamSettings, specs: Sequence[SourceSpec]
) -> list[StreamPlan]:
    track = config.source.track if entry.track is None else entry.track
    specs = [chosen for spec in specs for chosen in select_tracks(spec, track)]
    if entry.name is not None:
        specs = [_named(specs, entry.name)]
    settings = merge_live(config.live, entry.live)
    plans = []
    for found in specs:
        spec = replace(found, pages=config.images.pages)
        policy = entry.policy or config.pipeline.policy
        freshest = policy == "freshest" or (policy == "auto" and spec.own_pace)
        usual = _IMAGE_SINKS if spec.kind == "images" else _VIDEO_SINKS
        sinks = entry.sinks or config.output.sinks or usual
        plans.append(StreamPlan(spec, sinks, LivePlan(settings=settings, freshest=freshest)))
    return plans


def _named(specs: Sequence[SourceSpec], name: str) -> SourceSpec:
    if len(specs) != 1:
        raise ConfigError(
            f"streams: {name}: {specs[0].given} has {len(specs)} streams; a name is for only one"
        )
    if not re.fullmatch(r"\w[\w.+@=,() -]*", name):
        raise ConfigError(f"streams: name {name!r} must be a valid folder name")
    return replace(specs[0], name=name)
