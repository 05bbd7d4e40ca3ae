"""The properties of an open network stream: the track that is read, its clock and its end."""

import logging

import av
from av.format import Flags
from av.video.stream import VideoStream

from icstream.model import SourceError

log = logging.getLogger(__name__)

_ENDLESS = frozenset({"mpjpeg"})
"""The formats of live sources, regardless of the length stated by a server."""
_WITHOUT_CLOCK = frozenset({"image2", "yuv4mpegpipe", "rawvideo"})
"""The formats whose times FFmpeg derives from a rate, besides those that it marks so."""
_END_TOLERANCE_S = 0.5


def choose_video_stream(container: av.container.InputContainer, *, name: str) -> VideoStream:
    """Return the video stream of a live source: the first, or the largest variant (HLS).

    The others are not read, and other variants not even fetched. The size may be unknown until a
    key frame has arrived. Cover images are ignored.

    Raises:
        SourceError: There is no video.
    """
    found = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None
        and not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not found:
        others = ", ".join(f"{stream.type}" for stream in container.streams) or "nothing"
        raise SourceError(f"{name}: contains no video that can be decoded (it has: {others})")
    if "hls" not in _names(container):
        return next((stream for stream in found if stream.codec_context.width), found[0])
    chosen = max(found, key=_quality)
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = av.stream.Discard.all
    if len(found) > 1:
        others = ", ".join(_size_text(stream) for stream in found if stream is not chosen)
        log.info("%s: reading the variant of %s; not read: %s", name, _size_text(chosen), others)
    return chosen


def has_end(container: av.container.InputContainer, address: str) -> bool:
    """Return whether the stream is a recording on a web server rather than a camera.

    A recording has a length, an index of its frames, or a closed playlist. A stream with only a
    duration may be a camera, as FFmpeg estimates one from the first data.
    """
    names = _names(container)
    if not address.lower().startswith("http") or names & _ENDLESS:
        return False
    if "hls" in names:
        return container.duration is not None
    size = container.size or 0  # PyAV 19 has None for an unknown one
    return size > 0 or any(stream.frames for stream in container.streams.video)


def is_at_end(container: av.container.InputContainer, stop_s: float | None) -> bool:
    """Return whether a stream without a length has reached the end stated in its header.

    Args:
        container: The stream.
        stop_s: The end of its last frame, in seconds.
    """
    if container.duration is None or stop_s is None:
        return False
    start_s = (container.start_time or 0) / av.time_base
    return abs(start_s + container.duration / av.time_base - stop_s) <= _END_TOLERANCE_S


def has_clock(container: av.container.InputContainer) -> bool:
    """Return whether the times are the source's own rather than derived by FFmpeg."""
    marked = Flags.no_timestamps in Flags(container.format.flags)
    return not (marked or _names(container) & _WITHOUT_CLOCK or is_image(container))


def is_image(container: av.container.InputContainer) -> bool:
    """Return whether the stream is one image, or concatenated images."""
    return any(name == "image2" or name.endswith("_pipe") for name in _names(container))


def is_segmented(container: av.container.InputContainer) -> bool:
    """Return whether the stream consists of segments, which arrive in bursts."""
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
