"""Settings of single streams, which may override the section `live`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer

from icstream.pipeline.settings.loader import Settings, check
from icstream.stages.decode.address import shown
from icstream.stages.live.settings import LiveSettings, hide_values

PolicyName = Literal["auto", "every_frame", "freshest"]
TrackSetting = Annotated[int, Field(ge=0, le=9999)] | Literal["auto", "all"]


class StreamSettings(Settings):
    """One source with settings of its own."""

    ADDED = frozenset({"track"})

    source: str
    """Source, as on the command line; ${NAME} is replaced by an environment variable."""
    name: str | None = None
    """Name of the stream and of its output folder."""
    policy: PolicyName | None = None
    """Frame policy of this stream, instead of `pipeline.policy`."""
    sinks: list[str] | None = None
    """Sinks of this stream, instead of `output.sinks`."""
    track: TrackSetting | None = None
    """Video track of this recording, instead of `source.track`."""
    live: dict[str, Any] = Field(default_factory=dict)
    """Overrides of settings in the section `live`."""

    @field_serializer("source")
    def _without_password(self, source: str) -> str:
        return shown(source)

    @field_serializer("live", when_used="json")
    def _without_secrets(self, live: dict[str, Any]) -> dict[str, Any]:
        ffmpeg = live.get("ffmpeg")
        if not isinstance(ffmpeg, Mapping):
            return live
        return {**live, "ffmpeg": hide_values(ffmpeg)}


def merge_live(
    settings: LiveSettings, different: Mapping[str, Any], *, origin: str | None = None
) -> LiveSettings:
    """Return the settings with the overrides of one stream.

    Raises:
        ConfigError: an override is invalid; the error names `origin`.
    """
    values = asdict(settings)
    for key, value in different.items():
        inner = values.get(key)
        if isinstance(inner, dict) and isinstance(value, Mapping):
            values[key] = {**inner, **value}
        else:
            values[key] = value
    return check(LiveSettings, values, origin=origin)
