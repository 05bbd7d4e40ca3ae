"""Local cameras and network streams, read by FFmpeg."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, Self

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icstream.model import SourceError
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.address import shown
from icstream.stages.decode.packet_tracker import PacketTracker, frame_fault
from icstream.stages.decode.pixel_aspect import PixelAspect
from icstream.stages.decode.pyav import exact_ratio
from icstream.stages.decode.rgb import RgbConverter, displayed_size
from icstream.stages.live.camera import MAX_AHEAD_S, AwaitsKeyFrame, LiveFrame, LostFrame
from icstream.stages.live.damage import DamageFilter, refuse_damage
from icstream.stages.live.ffmpeg_input import describe_error, open_input, refused_segments
from icstream.stages.live.settings import LiveSettings
from icstream.stages.live.snapshots import poll_images
from icstream.stages.live.tracks import (
    choose_video_stream,
    has_clock,
    has_end,
    is_at_end,
    is_image,
    is_segmented,
)

_PATIENCE = 32
"""The number of later packets after which a packet without a frame is given up."""
_DAMAGED = "damaged packet"
_AFTER_DAMAGE = "after damage"
_NOTHING_CAME = "no picture from the decoder"


class FFmpegCamera:
    """One connection to a camera or a network stream.

    Packets before the first key frame are not decoded, as they depend on data that never arrived.
    The same applies to packets after damage, unless damaged frames are kept.
    """

    def __init__(
        self,
        address: str,
        *,
        settings: LiveSettings,
        threads: int = 1,
        accounting: FrameAccounting,
        is_first: bool,
    ) -> None:
        """Connect.

        Args:
            address: The device or URL, including secrets, which no log or error contains.
            settings: The settings of live sources.
            threads: The number of decoder threads.
            accounting: The counters of the stream.
            is_first: Whether no frame arrived over an earlier connection.

        Raises:
            SourceError: The source cannot be opened in time, or contains no video.
        """
        self._address = address
        self._settings = settings
        self._shown = shown(address)
        self._accounting = accounting
        self._tracker = PacketTracker(accounting, patience=_PATIENCE)
        self._container = open_input(address, settings)
        try:
            self._stream = choose_video_stream(self._container, name=self._shown)
            codec = self._stream.codec_context
            codec.thread_count = threads
            # Frame threads would delay frames.
            codec.thread_type = "SLICE" if threads > 1 else "NONE"
            codec.copy_opaque = True
            if not settings.keep_damaged:
                refuse_damage(codec)
            self._ends = has_end(self._container, address)
            self._is_segmented = is_segmented(self._container)
            self._is_image = is_image(self._container)
            self._has_clock = has_clock(self._container)
        except SourceError as error:
            self._container.close()
            raise SourceError(f"{error}{refused_segments(address, settings)}") from None
        except BaseException:
            self._container.close()
            raise
        self._filter = DamageFilter(codec, keep_damaged=settings.keep_damaged)
        self.may_be_silent = False
        self.comes_in_bursts = self._ends or self._is_segmented
        self.max_ahead_s = None if self._ends else MAX_AHEAD_S
        # The beginning of a recording arrived over the previous connection.
        self._is_over = self._ends and not is_first and not self._is_image
        self._num_before = accounting.packets if is_first else 0
        self._converter = RgbConverter()
        self._pixel_aspect = PixelAspect(self._stream)
        self._seen_time = self._has_frames = False
        self._stop_s: float | None = None
        """The end of the last frame, in seconds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | AwaitsKeyFrame | None]:
        """Implement `Camera.__iter__`."""
        if self._is_over:
            self._count_missing(at_least=1)
            return
        try:
            for packet in self._packets():
                if packet is None:
                    yield None
                else:
                    yield from self._take_packet(packet)
            yield from self._send(None)
            self._count_missing(at_least=0)
        finally:
            self._tracker.stopped("connection ended")

    def _count_missing(self, *, at_least: int) -> None:
        """Count the frames of a recording's index that did not arrive.

        Args:
            at_least: The number of frames that are missing at least, without an index.
        """
        if not self._ends or self._is_segmented:
            return
        promised = self._stream.frames
        missing = max(0, promised - self._num_packets()) if promised else at_least
        self._accounting.missing = max(self._accounting.missing, missing)

    def _has_all(self) -> bool:
        """Return whether all frames of the recording's index arrived."""
        return 0 < self._stream.frames <= self._num_packets()

    def _num_packets(self) -> int:
        return self._accounting.packets - self._num_before

    def _packets(self) -> "Iterator[Packet[VideoStream] | None]":
        """Yield packets of frames, and None for others, as audio may continue without frames."""
        num_before = self._accounting.packets
        first: Packet[VideoStream] | None = None
        error: FFmpegError | None = None
        packets: Iterator[Any] = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as caught:
                error = caught
                break
            if packet is not None and packet.stream is not self._stream:
                yield None
                continue
            if packet is None or (packet.size == 0 and packet.pts is None):
                break
            self._note_end(packet)
            first = packet if self._is_image else None
            yield packet
        if first is not None and self._accounting.packets == num_before + 1:
            self.may_be_silent = True
            yield from poll_images(self._address, self._settings, first)
        # A stream without a length ends in an error even at its regular end; with PyAV 19, one
        # with an index of its frames does too.
        if self._ends and (error is None or self._has_all()):
            return
        if not self._ends and is_at_end(self._container, self._stop_s):
            return
        if error is not None:
            why = describe_error(error, self._address, self._settings)
            raise SourceError(f"{self._shown}: {why}") from None
        raise SourceError(f"{self._shown}: the server closed the connection")

    def _note_end(self, packet: "Packet[VideoStream]") -> None:
        if packet.pts is not None and (time_base := exact_ratio(packet.time_base)) is not None:
            self._stop_s = float((packet.pts + (packet.duration or 0)) * time_base)

    def _take_packet(
        self, packet: "Packet[VideoStream]"
    ) -> Iterator[LiveFrame | LostFrame | AwaitsKeyFrame | None]:
        number = self._tracker.read()
        if not packet.size:  # V4L2: the driver reports that the frame is damaged
            yield self._lose(packet.pts, _DAMAGED)
            return
        was_decoding = not self._filter.waits
        verdict = self._filter.check(packet)
        if was_decoding and (verdict == "begin" or self._filter.waits):
            yield from self._break_off(
                suspect=False
            )  # frames still in the decoder precede the damage
        if verdict == "before the first key":
            self._tracker.without_frame("before the first key frame")
        elif verdict in ("damaged", "after damage"):
            yield self._lose(packet.pts, _DAMAGED if verdict == "damaged" else _AFTER_DAMAGE)
        else:
            packet.opaque = number
            self._tracker.sent(number, packet.pts)
            yield from self._send(packet)
            for sent in self._tracker.overdue():
                yield self._lose(sent.pts, _NOTHING_CAME)
        yield AwaitsKeyFrame() if self._filter.waits else None

    def _send(self, packet: "Packet[VideoStream] | None") -> Iterator[LiveFrame | LostFrame]:
        """Send a packet to the decoder, or None for the end, and return the decoded frames."""
        try:
            frames = self._stream.codec_context.decode(packet)
        except FFmpegError:
            if packet is not None and self._tracker.refused():
                yield self._lose(packet.pts, _DAMAGED)
                self._filter.note_damage()
                if self._filter.waits:
                    yield from self._break_off(suspect=False)
            return
        suspect = False
        for frame in self._own(frames):
            fault = frame_fault(frame)
            if fault is not None:
                self._filter.note_damage()
                yield self._lose(frame.pts, fault)
            elif suspect:
                yield self._lose(frame.pts, _AFTER_DAMAGE)
            else:
                yield from self._take(frame)
            suspect = self._filter.waits
        if suspect:
            yield from self._break_off(suspect=True)

    def _break_off(self, *, suspect: bool) -> Iterator[LiveFrame | LostFrame]:
        """Flush the decoder, which restarts with the next key frame.

        Args:
            suspect: Whether frames still in the decoder may depend on damage.
        """
        codec = self._stream.codec_context
        frames: list[VideoFrame] = []
        with suppress(FFmpegError):
            frames = codec.decode(None)
        for frame in self._own(frames):
            if suspect or frame_fault(frame) is not None:
                yield self._lose(frame.pts, _AFTER_DAMAGE)
            else:
                yield from self._take(frame)
        for sent in self._tracker.rest():
            yield self._lose(sent.pts, _NOTHING_CAME)
        codec.flush_buffers()

    def _own(self, frames: list[VideoFrame]) -> Iterator[VideoFrame]:
        """Return the frames that match sent packets, from the first that has a time."""
        for frame in frames:
            if not self._tracker.came(frame.opaque):
                continue
            self._seen_time = self._seen_time or frame.pts is not None
            if self._has_clock and not self._seen_time:
                self._tracker.without_frame("before the first time")
            else:
                yield frame

    def _take(self, frame: VideoFrame) -> Iterator[LiveFrame | LostFrame]:
        if self._filter.is_leading(frame.pts):
            if self._has_frames:
                yield self._lose(frame.pts, _AFTER_DAMAGE)
            else:
                self._tracker.without_frame("before the first key frame")
            return
        self._has_frames = True
        pts = frame.pts if self._has_clock else None
        time_base = exact_ratio(self._stream.time_base) or Fraction(1)
        yield LiveFrame(
            pts,
            time_base,
            displayed_size(frame),
            lambda: self._converter.rgb(frame),
            self._pixel_aspect.of(frame),
        )

    def _lose(self, pts: int | None, reason: str) -> LostFrame:
        self._tracker.lost(reason)
        return LostFrame(pts if self._has_clock else None, reason)
