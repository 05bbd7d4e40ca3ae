"""Filtering of a live stream's packets, so that no frame depends on lost data."""

from typing import TYPE_CHECKING, Literal, TypeAlias

from icstream.stages.live.h264_order import H264Order

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

Verdict: TypeAlias = Literal["begin", "decode", "damaged", "after damage", "before the first key"]
"""The verdict on a packet: "begin" is a key frame with which the decoder restarts."""

_STRICT = frozenset({"hevc", "mjpeg"})
"""The codecs whose damage FFmpeg conceals without a flag, unless it is set to refuse it."""


def refuse_damage(codec: "VideoCodecContext") -> None:
    """Make the decoder refuse damaged packets whose damage it would otherwise conceal."""
    if codec.name in _STRICT:
        codec.options = {**codec.options, "err_detect": "explode"}


class DamageFilter:
    """A filter that decides for each packet whether its frame can be intact.

    After damage, and at the beginning of a connection, nothing is decoded until the next key frame
    or recovery point.
    """

    def __init__(self, codec: "VideoCodecContext", *, keep_damaged: bool) -> None:
        """Begin a connection.

        Args:
            codec: The decoder.
            keep_damaged: Whether only the beginning waits for a key frame.
        """
        self._keep_damaged = keep_damaged
        self._order = H264Order(codec.extradata) if codec.name == "h264" else None
        self._has_begun = self._was_damaged = self._seen_time = False
        self.waits = True
        """Whether nothing is decoded until the next key frame."""
        self._begin_pts: int | None = None
        """The time of the key frame with which the decoder started, until its frame arrives."""

    def check(self, packet: "Packet[VideoStream]") -> Verdict:
        """Return the verdict on the next packet."""
        damaged = misses = suspect = beheaded = False
        if not self._keep_damaged:
            # FFmpeg's parsers emit a packet with the flags of the next one.
            damaged, suspect = packet.is_corrupt, self._was_damaged
            self._was_damaged = damaged
            misses = self._order is not None and self._order.misses(bytes(packet))
            # A first packet without a time, where others have one, has lost its own.
            beheaded = self.waits and packet.pts is None and self._seen_time
            self._seen_time = self._seen_time or packet.pts is not None
        if packet.is_keyframe and not (damaged or suspect or beheaded):
            begins = self.waits or misses
            self._has_begun, self.waits = True, False
            self._begin_pts = packet.pts if begins else None
            return "begin" if begins else "decode"
        if not self._has_begun:
            return "before the first key"
        if damaged or misses or suspect:
            self.note_damage()
        return "damaged" if damaged else "after damage" if self.waits else "decode"

    def note_damage(self) -> None:
        """Record that damage was found, on which later packets depend."""
        self.waits = self.waits or not self._keep_damaged

    def is_leading(self, pts: int | None) -> bool:
        """Return whether a frame is displayed before the key frame with which the decoder started.

        It may depend on frames before that key frame (an open group of pictures).
        """
        if pts is None or self._begin_pts is None or pts >= self._begin_pts:
            self._begin_pts = None
            return False
        return True
