"""From arguments and settings to what each stream is to be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from icstream.model import ConfigError
from icstream.pipeline.plan.live import Backoff, LivePlan, Pace
from icstream.pipeline.settings.live import LiveSettings, StreamSettings, merged
from icstream.pipeline.settings.run import RunConfig
from icstream.stages.decode.find import SourceSpec, find_sources, name_apart
from icstream.stages.live.options import CameraOptions

DEFAULT_SINKS = {
    "video": ["masks", "overlay"],
    "images": ["png"],
    "other": ["masks", "overlay"],
    "live": ["masks", "overlay"],
}


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream before it begins."""

    spec: SourceSpec
    sinks: list[str]
    plan: LivePlan
    """Recordings use its pace only."""


def plan_streams(config: RunConfig, arguments: Sequence[str]) -> list[StreamPlan]:
    """Gives the streams of a run: those of the settings, then those of the arguments.

    Raises:
        ConfigError: a source that stands for nothing, or there is none.
    """
    entries = [*config.streams, *(StreamSettings(source=argument) for argument in arguments)]
    if not entries:
        find_sources([])  # which says what may be given
    found = [stream_plan for entry in entries for stream_plan in _of_entry(config, entry)]
    names = name_apart([stream_plan.spec for stream_plan in found])
    return [replace(stream_plan, spec=spec) for stream_plan, spec in zip(found, names, strict=True)]


def _of_entry(config: RunConfig, entry: StreamSettings) -> list[StreamPlan]:
    specs = find_sources([entry.source])
    if entry.name is not None:
        specs = [_named(specs, entry.name)]
    live = LiveSettings.model_validate(merged(config.live, entry.live))
    return [_of_spec(config, entry, spec, live) for spec in specs]


def _of_spec(
    config: RunConfig, entry: StreamSettings, spec: SourceSpec, live: LiveSettings
) -> StreamPlan:
    policy = entry.policy or config.pipeline.policy
    freshest = policy == "freshest" or (policy == "auto" and spec.own_pace)
    sinks = entry.sinks or config.output.sinks or DEFAULT_SINKS[spec.kind]
    return StreamPlan(spec, sinks, _plan_live(live, freshest, config.decode.threads))


def _plan_live(live: LiveSettings, freshest: bool, threads: int) -> LivePlan:
    options = CameraOptions(
        open_timeout_s=live.open_timeout_s,
        read_timeout_s=live.read_timeout_s,
        threads=threads,
        rtsp_transport=live.rtsp_transport,
        hardware=live.hardware,
        size=live.camera.size,
        rate=live.camera.rate,
        pixel_format=live.camera.pixel_format,
        ffmpeg=dict(live.ffmpeg),
    )
    backoff = Backoff(live.backoff.first_s, live.backoff.factor, live.backoff.cap_s)
    pace = Pace(freshest, live.max_age_s, live.duration_s, live.stall_s)
    return LivePlan(options, pace, live.max_fps, backoff)


def _named(specs: Sequence[SourceSpec], name: str) -> SourceSpec:
    if len(specs) != 1:
        raise ConfigError(
            f"streams: {name}: {specs[0].given} is {len(specs)} streams; a name is for one"
        )
    if not re.fullmatch(r"\w[\w.+@=,() -]*", name):
        raise ConfigError(f"streams: name {name!r} must be one that a folder can have")
    return replace(specs[0], name=name)
