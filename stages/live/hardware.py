"""Hardware decoding, where FFmpeg and this machine support it."""

import logging
from functools import lru_cache

from av.codec.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import FFmpegError

log = logging.getLogger(__name__)

_ANY_CODEC = "h264"


def accelerator(wanted: str) -> HWAccel | None:
    """Return the hardware decoder, or None for software.

    Args:
        wanted: "auto", "off", or a device type by FFmpeg's name. A missing device is logged.
    """
    if wanted == "off":
        return None
    kind = _working(wanted)
    return None if kind is None else HWAccel(kind, allow_software_fallback=True)


@lru_cache
def _working(wanted: str) -> str | None:
    """Return the first type of device that can be opened here."""
    for kind in hwdevices_available() if wanted == "auto" else (wanted,):
        try:
            HWAccel(kind).create(Codec(_ANY_CODEC, "r"))
        except (FFmpegError, NotImplementedError, ValueError):
            continue
        return kind
    offered = ", ".join(hwdevices_available()) or "none"
    if wanted == "auto":
        log.info("no decoding device found (FFmpeg supports %s); decoding in software", offered)
    else:
        log.warning(
            "hardware %s: not available (FFmpeg supports %s); decoding in software", wanted, offered
        )
    return None
