"""How cameras and network streams are opened."""

from dataclasses import dataclass, field

from icstream.stages.items import Size


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """How one live source is opened. Plain values; the defaults are those of the settings."""

    open_timeout_s: float = 10.0
    """Until it is open."""
    read_timeout_s: float = 5.0
    """Without any data, or without any frame."""
    threads: int = 1
    """Of the decoder."""
    rtsp_transport: str = "tcp"
    """tcp or udp."""
    hardware: str = "auto"
    """What decodes: auto, off, or a kind of device as FFmpeg calls it."""
    size: Size | None = None
    """(height, width) asked of a camera at this computer; None: what it offers first."""
    rate: float | None = None
    """Frames per second asked of it."""
    pixel_format: str | None = None
    """Pixel format or codec asked of it, as FFmpeg calls them: yuyv422, mjpeg, ..."""
    ffmpeg: dict[str, str] = field(default_factory=dict)
    """Further options for FFmpeg."""
