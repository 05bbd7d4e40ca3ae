"""How cameras and network streams are read."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from icstream.model.settings_base import Limits, ParsedBy, ReportedBy, SettingsBase
from icstream.model.shown import HIDDEN
from icstream.model.size_text import SIZE_SCHEMA, Size, parse_any_size


def hide_values(values: Mapping[str, str]) -> dict[str, str]:
    """Return the names with nothing to see of the values."""
    return dict.fromkeys(values, HIDDEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings(SettingsBase):
    """What is asked of a camera at this computer (V4L2)."""

    size: Annotated[Size | None, ParsedBy(parse_any_size, text=SIZE_SCHEMA)] = None
    """Size as WIDTHxHEIGHT; without it the camera sends what it offers first."""
    rate: Annotated[float, Limits(gt=0, le=1000)] | None = None
    """Frames per second."""
    pixel_format: str | None = None
    """Pixel format or codec by FFmpeg's name: yuyv422, mjpeg, h264, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff(SettingsBase):
    """How long to wait before a source that was lost is connected again."""

    first_s: Annotated[float, Limits(gt=0, le=3600)] = 0.5
    """Seconds after the first failure; random jitter shortens each wait by up to 50 %."""
    factor: Annotated[float, Limits(ge=1, le=100)] = 2.0
    """Factor by which the wait grows from failure to failure."""
    cap_s: Annotated[float, Limits(gt=0, le=86_400)] = 30.0
    """Longest wait in seconds."""

    def delay_s(self, num_failures: int, dice: random.Random) -> float:
        """Return the wait after so many failures in a row: between half and all of what is due.

        Many sources that were lost together so do not all come back at one moment.
        """
        # Beyond the cap the power may be too large for a float.
        num_steps = min(num_failures - 1, 64)
        return min(self.cap_s, self.first_s * self.factor**num_steps) * dice.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings(SettingsBase):
    """How live sources are read; an entry of `streams` may differ in each setting."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"keep_damaged"})

    max_age_s: Annotated[float, Limits(gt=0, le=3600)] = 0.5
    """Policy freshest drops frames that are older than this and that no worker has begun."""
    max_fps: Annotated[float, Limits(gt=0, le=1000)] | None = None
    """Most frames per second that are kept, by a grid on their own times."""
    duration_s: Annotated[float, Limits(gt=0)] | None = None
    """Seconds after which the stream ends; without it the stream ends with its source."""
    stall_s: Annotated[float, Limits(gt=0, le=3600)] = 2.0
    """Seconds without a frame after which a source counts as stalled."""
    open_timeout_s: Annotated[float, Limits(gt=0, le=600)] = 10.0
    """Longest time in seconds to connect."""
    read_timeout_s: Annotated[float, Limits(gt=0, le=600)] = 5.0
    """Seconds without data or without a frame after which the connection is closed as lost."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    """How RTSP sources send their data."""
    keep_damaged: bool = False
    """Whether frames are kept that the decoder patched up, or that build on packets that were lost;
    otherwise the stream goes on with the next key frame."""
    hardware: str = "auto"
    """auto decodes by a device if there is one, off never does; or a device type by FFmpeg's name:
    cuda, vaapi, ..."""
    camera: CameraSettings = field(default_factory=CameraSettings)
    """Cameras at this computer."""
    ffmpeg: Annotated[dict[str, str], ReportedBy(hide_values)] = field(default_factory=dict)
    """Further options of FFmpeg's reader, by its own names."""
    backoff: Backoff = field(default_factory=Backoff)
    """Waits before a source is connected again."""
