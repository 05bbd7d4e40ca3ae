"""Decoding by hardware, where FFmpeg and this machine offer it."""

import logging
from functools import lru_cache

from av.codec.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import FFmpegError

log = logging.getLogger(__name__)

_ANY_CODEC = "h264"


def accelerator(wanted: str) -> HWAccel | None:
    """Return what decodes by hardware; None leaves it to software.

    Args:
        wanted: "auto", "off", or a kind of device as FFmpeg calls it. One that is not there is
            reported in one line.
    """
    if wanted == "off":
        return None
    kind = _working(wanted)
    return None if kind is None else HWAccel(kind, allow_software_fallback=True)


@lru_cache
def _working(wanted: str) -> str | None:
    """Return the first kind of device that can be opened here."""
    for kind in hwdevices_available() if wanted == "auto" else (wanted,):
        try:
            HWAccel(kind).create(Codec(_ANY_CODEC, "r"))
        except (FFmpegError, NotImplementedError, ValueError):
            continue
        return kind
    offered = ", ".join(hwdevices_available()) or "none"
    if wanted == "auto":
        log.info("no device that decodes (FFmpeg knows %s); software does it", offered)
    else:
        log.warning("hardware %s: not here (FFmpeg knows %s); software decodes", wanted, offered)
    return None
