"""What an opened network stream is: which of its tracks is read, and whether it has an end."""

import logging

import av
from av.format import Flags
from av.video.stream import VideoStream

from icstream.model import SourceError

log = logging.getLogger(__name__)

_ENDLESS = frozenset({"mpjpeg"})
"""Formats that only live sources send, whatever length a server states."""
_WITHOUT_CLOCK = frozenset({"image2", "yuv4mpegpipe", "rawvideo"})
"""Formats whose times FFmpeg makes up from a rate, besides those that it marks so itself."""
_END_TOLERANCE_S = 0.5


def choose_video_stream(container: av.container.InputContainer, *, name: str) -> VideoStream:
    """Return the video of a live source: the first, and of variants (HLS) the largest.

    The others are not read, and of variants not even fetched. The size may be unknown as long as no
    key frame has come. A cover image is no video.

    Raises:
        SourceError: there is no video.
    """
    found = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None
        and not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not found:
        others = ", ".join(f"{stream.type}" for stream in container.streams) or "nothing"
        raise SourceError(f"{name}: holds no video that can be decoded (it has: {others})")
    if "hls" not in _names(container):
        return next((stream for stream in found if stream.codec_context.width), found[0])
    chosen = max(found, key=_quality)
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = av.stream.Discard.all
    if len(found) > 1:
        others = ", ".join(_size_text(stream) for stream in found if stream is not chosen)
        log.info("%s: the variant of %s is read; not read: %s", name, _size_text(chosen), others)
    return chosen


def has_end(container: av.container.InputContainer, address: str) -> bool:
    """Return whether it is a recording on a web server, and not a camera.

    A recording has a length, an index of its frames, or a playlist that is closed. What only has a
    duration may be a camera: FFmpeg estimates one from what came first.
    """
    names = _names(container)
    if not address.lower().startswith("http") or names & _ENDLESS:
        return False
    if "hls" in names:
        return container.duration is not None
    return container.size > 0 or any(stream.frames for stream in container.streams.video)


def is_at_end(container: av.container.InputContainer, stop_s: float | None) -> bool:
    """Return whether a stream without a length has come to where its header says that it ends.

    Args:
        container: the stream.
        stop_s: where its last frame ends.
    """
    if container.duration is None or stop_s is None:
        return False
    start_s = (container.start_time or 0) / av.time_base
    return abs(start_s + container.duration / av.time_base - stop_s) <= _END_TOLERANCE_S


def has_clock(container: av.container.InputContainer) -> bool:
    """Return whether the times are the source's own, and not made up by FFmpeg."""
    marked = Flags.no_timestamps in Flags(container.format.flags)
    return not (marked or _names(container) & _WITHOUT_CLOCK or is_image(container))


def is_image(container: av.container.InputContainer) -> bool:
    """Return whether it is one image, or images one behind the other without anything between."""
    return any(name == "image2" or name.endswith("_pipe") for name in _names(container))


def is_segmented(container: av.container.InputContainer) -> bool:
    """Return whether it comes in segments: faster than it was filmed, and then not for a while."""
    return "hls" in _names(container)


def _names(container: av.container.InputContainer) -> set[str]:
    return set(container.format.name.split(","))


def _quality(stream: VideoStream) -> tuple[int, int]:
    codec = stream.codec_context
    bit_rate = stream.metadata.get("variant_bitrate", "")
    return codec.width * codec.height, int(bit_rate) if bit_rate.isdecimal() else 0


def _size_text(stream: VideoStream) -> str:
    codec = stream.codec_context
    return f"{codec.width}x{codec.height}" if codec.width else "unknown size"
