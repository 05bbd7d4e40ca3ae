"""Opening of cameras and network streams by FFmpeg, and descriptions of its errors."""

import socket
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit
from urllib.request import urlopen

import av
from av.error import ExitError, FFmpegError

from icstream.model import SourceError
from icstream.stages.decode.address import device_path, scheme_of, shown
from icstream.stages.decode.pyav import open_for_reading
from icstream.stages.live.hardware import accelerator
from icstream.stages.live.settings import CameraSettings, LiveSettings

_MICROSECONDS = 1_000_000
_PROMPT = {"analyzeduration": "1000000", "fpsprobesize": "0"}
"""The options that prevent FFmpeg from collecting frames for seconds to determine their rate."""
_PLAYLIST_BYTES = 65_536
_VIDEO_SEGMENTS = frozenset(
    f".{suffix}"
    for suffix in (
        *("3gp", "avi", "cmfv", "fmp4", "m3u8", "m4s", "m4v", "mkv", "mov", "mp4", "mpeg"),
        *("mpegts", "mpg", "ogg", "ogv", "ts", "vob"),
    )
)
"""The suffixes of segments that FFmpeg's HLS reader accepts as video, and of playlists."""


def open_input(address: str, settings: LiveSettings) -> av.container.InputContainer:
    """Connect to a camera or a network stream.

    Raises:
        SourceError: The source cannot be opened in time; the text contains no secrets of the
            address.
    """
    is_device = scheme_of(address) == "device"
    try:
        return open_for_reading(
            device_path(address) if is_device else address,
            format="v4l2" if is_device else None,
            options=_PROMPT
            | (_of_device(settings.camera) if is_device else _of_network(address, settings))
            | settings.ffmpeg,
            timeout=(settings.open_timeout_s, settings.read_timeout_s),
            hwaccel=accelerator(settings.hardware),
        )
    except FFmpegError as error:
        why = describe_error(error, address, settings)
        raise SourceError(f"{shown(address)}: {why}{_cameras(is_device)}") from None
    except ValueError as error:  # FFmpeg's own text contains the address
        raise SourceError(f"{shown(address)}: cannot be opened") from error


def describe_error(error: FFmpegError, address: str, settings: LiveSettings) -> str:
    """Return the cause of an error, as far as it can be determined, without the address."""
    scheme = address.partition(":")[0].lower()
    if isinstance(error, (ExitError, av.error.TimeoutError)):
        return "no data arrived in time"
    if isinstance(error, av.error.OSError) and error.errno == _EIO:
        if scheme == "udp":
            return f"no data arrived in {settings.read_timeout_s:g} s"
        if (unknown := _unknown_host(address)) is not None:
            return unknown
    if isinstance(error, av.error.InvalidDataError):
        return f"{error.strerror}".lower() + refused_segments(address, settings)
    return f"{error.strerror}".lower()


_EIO = 5


def _unknown_host(address: str) -> str | None:
    """Return an error if the host of the address cannot be resolved, else None."""
    if scheme_of(address) != "network":
        return None
    try:
        host = urlsplit(address).hostname
        if host:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "not a name of a host"
        return f"the host's name cannot be resolved ({why.lower()})"
    except ValueError:
        return None  # not a valid host name
    return None


def refused_segments(address: str, settings: LiveSettings) -> str:
    """Return the end of a sentence with the setting that makes an HLS stream readable."""
    try:
        for _ in range(2):  # a list of variants refers to lists of segments
            if not address.lower().startswith(("http://", "https://")):
                return ""  # a playlist is untrusted: no local file is opened for it
            with urlopen(address, timeout=settings.open_timeout_s) as answer:
                lines = answer.read(_PLAYLIST_BYTES).decode(errors="replace").splitlines()
            names = [line.strip() for line in lines if line.strip() and line[0] != "#"]
            if not lines or not lines[0].startswith("#EXTM3U") or not names:
                return ""
            address = urljoin(address, names[0])
            suffix = PurePosixPath(urlsplit(address).path).suffix.lower()
            if suffix not in _VIDEO_SEGMENTS:
                return (
                    f"; its segments are called {suffix or 'without a suffix'}, which FFmpeg takes"
                    " for no video: if they are, set live.ffmpeg to"
                    " {extension_picky: '0', allowed_segment_extensions: ALL}"
                )
    except (OSError, ValueError, HTTPException):
        pass
    return ""


def _cameras(is_device: bool) -> str:
    """Return the end of a sentence that names the cameras of this machine."""
    if not is_device:
        return ""
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    return f" (cameras here: {', '.join(found) or 'none'})"


def _of_device(camera: CameraSettings) -> dict[str, str]:
    found = {}
    if camera.size is not None:
        found["video_size"] = f"{camera.size[1]}x{camera.size[0]}"
    if camera.rate is not None:
        found["framerate"] = f"{camera.rate:g}"
    if camera.pixel_format is not None:
        found["input_format"] = camera.pixel_format
    return found


def _of_network(address: str, settings: LiveSettings) -> dict[str, str]:
    scheme = address.partition(":")[0].lower()
    timeout = str(round(_MICROSECONDS * settings.read_timeout_s))
    if scheme in ("rtsp", "rtsps"):
        return {"rtsp_transport": settings.rtsp_transport, "timeout": timeout}
    if scheme in ("http", "https"):
        return {"rw_timeout": timeout, "live_start_index": "-1"}
    if scheme == "udp":
        return {"timeout": timeout, "overrun_nonfatal": "1"}
    return {"rw_timeout": timeout}
