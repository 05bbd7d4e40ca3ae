"""Cameras at this computer and network streams, read by FFmpeg."""

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
"""A packet whose frame has not come after so many others will not give one."""
_DAMAGED = "damaged packet"
_AFTER_DAMAGE = "after damage"
_NOTHING_CAME = "no picture from the decoder"


class FFmpegCamera:
    """One connection to a camera or a network stream.

    Packets before the first key frame are not decoded: what they show builds on what never came.
    The same holds of packets behind damage, unless damaged frames are to be kept.
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
            address: device or URL, secrets included; they are in no message and no error.
            settings: how to read it.
            threads: threads of the decoder.
            accounting: of the stream.
            is_first: no frame came over an earlier connection.

        Raises:
            SourceError: it cannot be opened in time, or holds no video.
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
            # Threads that take a frame each would hold frames back.
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
        # What a recording still holds came over the connection before.
        self._is_over = self._ends and not is_first and not self._is_image
        self._num_before = accounting.packets if is_first else 0
        self._converter = RgbConverter()
        self._pixel_aspect = PixelAspect(self._stream)
        self._seen_time = self._has_frames = False
        self._stop_s: float | None = None
        """Where the last frame ends."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[LiveFrame | LostFrame | AwaitsKeyFrame | None]:
        """See `Camera.__iter__`."""
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
        """Count what a recording's own index promises beyond what came.

        Args:
            at_least: frames that must be missing where there is no index to say so.
        """
        if not self._ends or self._is_segmented:
            return
        promised, came = self._stream.frames, self._accounting.packets - self._num_before
        missing = max(0, promised - came) if promised else at_least
        self._accounting.missing = max(self._accounting.missing, missing)

    def _packets(self) -> "Iterator[Packet[VideoStream] | None]":
        """Return packets of frames, and None for others: sound may go on where no frame comes."""
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
        if self._ends and error is None:
            return
        # A stream without a length ends in an error where it should have ended, too.
        if not self._ends and is_at_end(self._container, self._stop_s):
            return
        if error is not None:
            why = describe_error(error, self._address, self._settings)
            raise SourceError(f"{self._shown}: {why}") from None
        raise SourceError(f"{self._shown}: the other side ended the connection")

    def _note_end(self, packet: "Packet[VideoStream]") -> None:
        if packet.pts is not None and (time_base := exact_ratio(packet.time_base)) is not None:
            self._stop_s = float((packet.pts + (packet.duration or 0)) * time_base)

    def _take_packet(
        self, packet: "Packet[VideoStream]"
    ) -> Iterator[LiveFrame | LostFrame | AwaitsKeyFrame | None]:
        number = self._tracker.read()
        if not packet.size:  # V4L2: the driver says that the frame is damaged
            yield self._lose(packet.pts, _DAMAGED)
            return
        was_decoding = not self._filter.waits
        verdict = self._filter.check(packet)
        if was_decoding and (verdict == "begin" or self._filter.waits):
            yield from self._break_off(suspect=False)  # what it still holds came before the damage
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
        """Send a packet to the decoder, or None for the end; return what comes out."""
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
        """Empty the decoder, which begins anew with the next key frame.

        Args:
            suspect: what it still holds may build on damage.
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
        """Return the frames whose packets wait for them, from the first that has a time on."""
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
