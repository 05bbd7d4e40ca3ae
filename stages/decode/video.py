"""Decoding of recordings by FFmpeg, with every packet accounted for."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Self

import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icstream.model.planar import Empty
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.clock import (
    SlotClock,
    num_empty_chunks,
    probe_recording,
    promised_frames,
    with_restarts,
)
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.left_out import REASON, LeftOut, LeftOutPackets
from icstream.stages.decode.packet_tracker import (
    PacketTracker,
    SentPacket,
    find_video_streams,
    frame_fault,
)
from icstream.stages.decode.pixel_aspect import PixelAspect
from icstream.stages.decode.pyav import exact_ratio
from icstream.stages.decode.recording import Recording
from icstream.stages.decode.rgb import RgbConverter, displayed_size
from icstream.stages.decode.source import DEFAULT_RATE, SourceInfo
from icstream.stages.decode.tracks import choose_track, describe_choice
from icstream.stages.items import End, FormatChange, Frame, FrameMeta, Gap, Item, Size, size_change

log = logging.getLogger(__name__)

_PATIENCE = 128
"""The number of later packets after which a packet without a frame is given up."""
_HIDING_CODECS = frozenset({"vp8", "vp9", "av1"})
"""The codecs with frames that serve only as references for others."""


_CONCEALING_CODECS = frozenset({"hevc"})
"""The codecs whose decoder conceals errors without a flag, unless it is set to refuse them."""


class VideoSource:
    """The source of one video track of a file."""

    def __init__(
        self,
        spec: SourceSpec,
        *,
        accounting: FrameAccounting,
        threads: int,
        first_image: int = 0,
        left_out: Sequence[LeftOut] = (),
        empty: Empty = np.empty,
    ) -> None:
        """Open the file.

        Args:
            spec: The spec of the stream.
            accounting: The counters of the stream, which continue those of an earlier reading.
            threads: The number of decoder threads.
            first_image: The index before which frames lack their image, which saves time.
            left_out: The packets that are not sent to the decoder.
            empty: A function that allocates the memory for each frame.

        Raises:
            SourceError: The file cannot be opened, or contains no video.
        """
        self._spec = spec
        self._accounting = accounting
        self._tracker = PacketTracker(accounting, patience=_PATIENCE)
        self._threads = threads
        self._first_image = first_image
        self._left_out = LeftOutPackets(left_out)
        self._empty = empty
        self._path = spec.paths[0]
        self._recording = Recording(self._path)
        try:
            tracks = find_video_streams(self._recording.container, name=str(self._path))
            self._stream = choose_track(tracks, spec.track, name=str(self._path))
            codec = self._stream.codec_context
            codec.thread_count = threads
            codec.thread_type = "AUTO" if threads > 1 else "NONE"
            codec.copy_opaque = True
            if codec.name in _CONCEALING_CODECS:
                codec.options = {"err_detect": "explode"}
            self._slots, self.info = _settle_clock(spec, self._recording, self._stream)
        except BaseException:
            self._recording.close()
            raise
        if spec.track is None and (choice := describe_choice(tracks, self._stream, self._path)):
            self.info = replace(self.info, notes=(*self.info.notes, choice))
        for note in self.info.notes:
            log.info("%s: %s", spec.name, note)
        self._converter = RgbConverter()
        self._pixel_aspect = PixelAspect(self._stream)
        self._last_pts: int | None = None
        self._last_restarts = 0
        self._last_size = self.info.size
        self._after_interlaced = False
        self._seen_key = False
        self._seen_image = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._recording.close()

    def __iter__(self) -> Iterator[Item]:
        """Implement `Source.__iter__`."""
        try:
            yield from self._decode()
        finally:
            self._tracker.stopped("stopped")
        yield End(self._spec.name)

    def _decode(self) -> Iterator[Item]:
        accounting = self._accounting
        num_before = accounting.packets
        for packet, num_restarts in with_restarts(self._recording.packets(self._stream)):
            packet.opaque = number = self._tracker.read()
            if self._left_out.cover(number, is_key=packet.is_keyframe):
                yield from self._leave_out(packet, number)
                continue
            self._seen_key = self._seen_key or packet.is_keyframe
            self._tracker.sent(
                number,
                packet.pts,
                is_discard=packet.is_discard,
                num_restarts=num_restarts,
                is_before_key=not self._seen_key,
                is_damaged=self._recording.is_damaged(packet),
            )
            if self._slots is not None:
                self._slots.sent(packet)
            yield from self._send(packet)
            for sent in self._tracker.overdue():
                yield from self._give_up(sent)
        yield from self._send(None)
        for sent in self._tracker.rest():
            yield from self._give_up(sent)
        promised = self.info.num_frames or 0
        accounting.missing += max(0, promised - (accounting.packets - num_before))
        accounting.cut_short = accounting.cut_short or self._recording.why_cut_short()
        self._recording.check_read()

    def _send(self, packet: "Packet[VideoStream] | None") -> Iterator[Item]:
        """Send a packet to the decoder, or None for the end, and return the decoded frames."""
        try:
            frames = self._stream.codec_context.decode(packet)
        except FFmpegError:
            # With several threads the error may belong to an earlier packet, which then yields no
            # frame.
            if self._threads == 1 and packet is not None and self._tracker.refused():
                yield self._lose(packet.pts, "damaged packet")
            return
        for frame in frames:
            yield from self._take(frame)

    def _leave_out(self, packet: "Packet[VideoStream]", number: int) -> Iterator[Item]:
        """Count a packet that is not decoded; later packets do not depend on earlier ones."""
        if self._left_out.begin_with(number):
            yield from self._send(None)
            for sent in self._tracker.rest():
                yield from self._give_up(sent)
            self._stream.codec_context.flush_buffers()
        yield self._lose(packet.pts, REASON)

    def _take(self, frame: VideoFrame) -> Iterator[Item]:
        sent = self._tracker.came(frame.opaque)
        pts = self._pts(frame)
        if sent is None:
            log.warning("%s: dropping a second frame of one packet", self._path)
            return
        self._after_interlaced = frame.interlaced_frame
        fault = "damaged packet" if sent.is_damaged else frame_fault(frame)
        if fault is not None:
            yield self._lose(frame.pts, fault)
            return
        index = self._accounting.decoded
        height, width = size = displayed_size(frame)
        canvas = image = None
        if index >= self._first_image:
            canvas = self._converter.canvas(frame, self._empty)
            image = canvas[:height, :width]
        yield from self._changes(pts, size, sent.num_restarts)
        self._last_pts, self._last_size, self._seen_image = pts, size, True
        self._accounting.decoded += 1
        self._accounting.in_flight += 1
        aspect = self._pixel_aspect.of(frame)
        meta = FrameMeta(
            self._spec.name, index, pts, self._time_base(pts), size, pixel_aspect=aspect
        )
        yield Frame(meta, image, canvas=canvas)

    def _pts(self, frame: VideoFrame) -> int | None:
        if self._slots is not None:
            return self._slots.time_of(frame)
        return frame.pts if self.info.clock == "pts" else None

    def _changes(self, pts: int | None, size: Size, num_restarts: int) -> Iterator[Item]:
        name, index = self._spec.name, self._accounting.decoded
        if size != self._last_size:
            yield FormatChange(name, index, size_change(self._last_size, size))
        if self._seen_image and (pts is None) != (self._last_pts is None):
            yield FormatChange(name, index, "times end" if pts is None else "times begin")
        elif pts is not None and self._last_pts is not None and pts <= self._last_pts:
            if num_restarts != self._last_restarts:
                yield FormatChange(name, index, "time runs backwards")
            else:
                self._accounting.noted["time does not increase"] += 1
        self._last_restarts = num_restarts

    def _time_base(self, pts: int | None) -> Fraction:
        if pts is None and self.info.clock == "pts":
            return 1 / _rate(self._stream)
        return self.info.time_base

    def _lose(self, pts: int | None, reason: str) -> Gap:
        self._tracker.lost(reason)
        shown = pts if self.info.clock == "pts" and self._slots is None else None
        return Gap(self._spec.name, self._accounting.decoded, shown, reason)

    def _give_up(self, sent: SentPacket) -> Iterator[Item]:
        """Count a packet without a frame of its own, and yield a gap if one is missing."""
        if hidden := self._why_hidden(sent):
            self._tracker.without_frame(hidden)
        elif sent.is_before_key:
            yield self._lose(sent.pts, "before the first key frame")
        else:
            yield self._lose(sent.pts, "no picture from the decoder")

    def _why_hidden(self, sent: SentPacket) -> str | None:
        """Return why a packet rightly yields no frame of its own; None if it should yield one."""
        if sent.is_discard:
            return "outside the edit list"
        if self._stream.codec_context.name in _HIDING_CODECS:
            return "hidden frame"
        if self._after_interlaced and sent.pts is None:
            return "second field"
        return None


def _settle_clock(
    spec: SourceSpec, recording: Recording, stream: VideoStream
) -> tuple[SlotClock | None, SourceInfo]:
    """Return the slot clock, if this is an AVI that needs one, and the source's properties."""
    probe = probe_recording(spec.paths[0], stream.index)
    is_avi = recording.container.format.name == "avi"
    num_frames = promised_frames(stream, probe, is_avi=is_avi)
    slots = None
    has_times = probe.has_times
    # AVI numbers packets in decoding order, which is wrong if B frames reorder them.
    if is_avi and stream.codec_context.has_b_frames:
        has_times = num_empty_chunks(stream) > 0
        slots = SlotClock() if has_times else None
    if has_times and (time_base := exact_ratio(stream.time_base)) is not None:
        info = SourceInfo("pts", time_base, num_frames, probe.size)
    else:
        info = SourceInfo("index", 1 / _rate(stream), num_frames, probe.size)
    return slots, replace(info, notes=recording.notes)


def _rate(stream: VideoStream) -> Fraction:
    return exact_ratio(stream.average_rate) or exact_ratio(stream.guessed_rate) or DEFAULT_RATE
