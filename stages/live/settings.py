"""The settings of cameras and network streams."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from icstream.model.settings_base import Limits, ParsedBy, ReportedBy, SettingsBase
from icstream.model.shown import HIDDEN
from icstream.model.size_text import SIZE_SCHEMA, Size, parse_any_size


def hide_values(values: Mapping[str, str]) -> dict[str, str]:
    """Return the names with hidden values."""
    return dict.fromkeys(values, HIDDEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings(SettingsBase):
    """Settings of a local camera (V4L2)."""

    size: Annotated[Size | None, ParsedBy(parse_any_size, text=SIZE_SCHEMA)] = None
    """Size as WIDTHxHEIGHT; by default the first that the camera offers."""
    rate: Annotated[float, Limits(gt=0, le=1000)] | None = None
    """Frame rate in frames per second; by default the camera's."""
    pixel_format: str | None = None
    """Pixel format or codec by FFmpeg's name (yuyv422, mjpeg, h264, ...); by default the
    camera's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff(SettingsBase):
    """Settings of the waits before reconnecting to a lost source."""

    first_s: Annotated[float, Limits(gt=0, le=3600)] = 0.5
    """Wait after the first failure, in seconds; random jitter shortens each wait by up to 50 %."""
    factor: Annotated[float, Limits(ge=1, le=100)] = 2.0
    """Factor by which the wait grows with each failure."""
    cap_s: Annotated[float, Limits(gt=0, le=86_400)] = 30.0
    """Longest wait, in seconds."""

    def delay_s(self, num_failures: int, dice: random.Random) -> float:
        """Return the wait in seconds after a number of consecutive failures, with random jitter.

        The jitter, of up to 50 %, keeps sources that were lost together from reconnecting at the
        same time.
        """
        # Above the cap the power may be too large for a float.
        num_steps = min(num_failures - 1, 64)
        return min(self.cap_s, self.first_s * self.factor**num_steps) * dice.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings(SettingsBase):
    """Settings of live sources, which an entry of `streams` may override."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"keep_damaged"})

    max_age_s: Annotated[float, Limits(gt=0, le=3600)] = 0.5
    """Age, in seconds, above which the policy freshest drops frames that no worker has started."""
    max_fps: Annotated[float, Limits(gt=0, le=1000)] | None = None
    """Largest number of frames per second that are kept, by a grid on their own times."""
    duration_s: Annotated[float, Limits(gt=0)] | None = None
    """Duration of the stream, in seconds; by default the stream ends with its source."""
    stall_s: Annotated[float, Limits(gt=0, le=3600)] = 2.0
    """Time without a frame, in seconds, after which a source counts as stalled."""
    open_timeout_s: Annotated[float, Limits(gt=0, le=600)] = 10.0
    """Longest time to connect, in seconds."""
    read_timeout_s: Annotated[float, Limits(gt=0, le=600)] = 5.0
    """Time without data or frames, in seconds, after which a connection is closed as lost."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    """Transport of RTSP sources."""
    keep_damaged: bool = False
    """Whether to keep frames that the decoder concealed or that depend on lost packets; otherwise
    the stream resumes at the next key frame."""
    hardware: str = "auto"
    """Hardware decoder: auto for any available device, off for none, or a device type by FFmpeg's
    name (cuda, vaapi, ...)."""
    camera: CameraSettings = field(default_factory=CameraSettings)
    """Settings of local cameras."""
    ffmpeg: Annotated[dict[str, str], ReportedBy(hide_values)] = field(default_factory=dict)
    """Additional FFmpeg input options, by name."""
    backoff: Backoff = field(default_factory=Backoff)
    """Waits before reconnecting."""
