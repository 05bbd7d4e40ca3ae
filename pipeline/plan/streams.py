"""The streams of a run, from settings and arguments."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from icstream.model import ConfigError
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.settings.live import StreamSettings, merge_live
from icstream.pipeline.settings.run import RunConfig
from icstream.stages.decode.find import SourceSpec, find_sources, name_apart

_IMAGE_SINKS = ["png"]
_VIDEO_SINKS = ["masks", "overlay"]


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream before it begins."""

    spec: SourceSpec
    sinks: list[str]
    live: LivePlan
    """Of recordings only the policy counts."""


def plan_streams(config: RunConfig, arguments: Sequence[str]) -> list[StreamPlan]:
    """Return the streams of a run: those of the settings, then those of the arguments.

    Raises:
        ConfigError: a source that stands for nothing, or there is none.
    """
    entries = [*config.streams, *(StreamSettings(source=argument) for argument in arguments)]
    if not entries:
        find_sources([])  # raises, and names what may be given
    found = [stream_plan for entry in entries for stream_plan in _of_entry(config, entry)]
    names = name_apart([stream_plan.spec for stream_plan in found])
    return [replace(stream_plan, spec=spec) for stream_plan, spec in zip(found, names, strict=True)]


def _of_entry(config: RunConfig, entry: StreamSettings) -> list[StreamPlan]:
    specs = find_sources([entry.source])
    if entry.name is not None:
        specs = [_named(specs, entry.name)]
    settings = merge_live(config.live, entry.live)
    plans = []
    for spec in specs:
        policy = entry.policy or config.pipeline.policy
        freshest = policy == "freshest" or (policy == "auto" and spec.own_pace)
        usual = _IMAGE_SINKS if spec.kind == "images" else _VIDEO_SINKS
        sinks = entry.sinks or config.output.sinks or usual
        plans.append(StreamPlan(spec, sinks, LivePlan(settings=settings, freshest=freshest)))
    return plans


def _named(specs: Sequence[SourceSpec], name: str) -> SourceSpec:
    if len(specs) != 1:
        raise ConfigError(
            f"streams: {name}: {specs[0].given} is {len(specs)} streams; a name is for one"
        )
    if not re.fullmatch(r"\w[\w.+@=,() -]*", name):
        raise ConfigError(f"streams: name {name!r} must be one that a folder can have")
    return replace(specs[0], name=name)
