"""Settings of live sources, for all of them and for each."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_serializer

from icstream.pipeline.settings.loader import Settings
from icstream.stages.decode.address import shown

PolicyName = Literal["auto", "every_frame", "freshest"]

_HIDDEN = "..."


def _parse_size(value: object) -> object:
    if isinstance(value, str):
        width, cross, height = value.lower().partition("x")
        if cross and height.isdigit() and width.isdigit():
            return int(height), int(width)
        raise ValueError("a camera's size is WIDTHxHEIGHT, for example 1280x720")
    return value


class BackoffSettings(Settings):
    """How long to wait before a source that was lost is connected again."""

    first_s: float = Field(0.5, gt=0, le=3600)
    """After the first failure; each wait is cut by up to a half, by lot."""
    factor: float = Field(2, ge=1, le=100)
    """By which it grows from failure to failure."""
    cap_s: float = Field(30, gt=0, le=86_400)
    """It grows no further than this."""


class CameraSettings(Settings):
    """What is asked of a camera at this computer (V4L2)."""

    size: Annotated[tuple[int, int] | None, BeforeValidator(_parse_size)] = None
    """WIDTHxHEIGHT; if none is given, what the camera offers first."""
    rate: float | None = Field(None, gt=0, le=1000)
    """Frames per second."""
    pixel_format: str | None = None
    """As FFmpeg calls it: yuyv422, mjpeg, h264, ..."""


class LiveSettings(Settings):
    """How cameras and network streams are read; `streams` may say otherwise for each."""

    max_age_s: float = Field(0.5, gt=0, le=3600)
    """Policy freshest: a frame that is older, and that nobody works on, is dropped."""
    max_fps: float | None = Field(None, gt=0, le=1000)
    """Frames per second that are kept, by a grid on their own times."""
    duration_s: float | None = Field(None, gt=0)
    """The stream ends after so long."""
    stall_s: float = Field(2, gt=0, le=3600)
    """Without an image for so long, a source counts as stalled."""
    open_timeout_s: float = Field(10, gt=0, le=600)
    """For connecting."""
    read_timeout_s: float = Field(5, gt=0, le=600)
    """Without data or without an image for so long, the connection is given up."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    """How RTSP sources send their images."""
    hardware: str = "auto"
    """What decodes: auto (a device if there is one), off, or as FFmpeg says: cuda, vaapi, ..."""
    camera: CameraSettings = CameraSettings()
    """Cameras at this computer."""
    ffmpeg: dict[str, str] = Field(default_factory=dict)
    """Further options for FFmpeg's reader, by its own names."""
    backoff: BackoffSettings = BackoffSettings()
    """Reconnecting."""

    @field_serializer("ffmpeg", when_used="json")
    def _without_secrets(self, ffmpeg: dict[str, str]) -> dict[str, str]:
        return dict.fromkeys(ffmpeg, _HIDDEN)


class StreamSettings(Settings):
    """One source, and what is different for it."""

    source: str
    """What could stand on the command line; ${NAME} is taken from the environment."""
    name: str | None = None
    """Of the stream, and of its folder."""
    policy: PolicyName | None = None
    """As `pipeline.policy`."""
    sinks: list[str] | None = None
    """As `output.sinks`."""
    live: dict[str, Any] = Field(default_factory=dict)
    """Settings of the section `live` that are different."""

    @field_serializer("source")
    def _without_password(self, source: str) -> str:
        return shown(source)

    @field_serializer("live", when_used="json")
    def _without_secrets(self, live: dict[str, Any]) -> dict[str, Any]:
        ffmpeg = live.get("ffmpeg")
        if not isinstance(ffmpeg, Mapping):
            return live
        return {**live, "ffmpeg": dict.fromkeys(ffmpeg, _HIDDEN)}


def merged(settings: LiveSettings, different: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the settings as plain values, with those of one stream over them."""
    values = settings.model_dump()
    for key, value in different.items():
        inner = values.get(key)
        if isinstance(inner, dict) and isinstance(value, Mapping):
            values[key] = {**inner, **value}
        else:
            values[key] = value
    return values
