"""Recordings, decoded by FFmpeg with every packet accounted for."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icstream.model import SourceError
from icstream.model.planar import Empty
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.packet_tracker import (
    PacketTracker,
    SentPacket,
    find_video_stream,
    frame_fault,
)
from icstream.stages.decode.rgb import RgbConverter, displayed_size
from icstream.stages.decode.source import DEFAULT_RATE, SourceInfo
from icstream.stages.items import End, FormatChange, Frame, FrameMeta, Gap, Item, Size, size_change

log = logging.getLogger(__name__)

_PATIENCE = 128
"""A packet whose frame has not come after so many others will not give one."""
_PROBE_PACKETS = 64
"""Packets looked at to see whether a file has times."""
_HIDING_CODECS = frozenset({"vp8", "vp9", "av1"})
"""Codecs with frames that are only there for others to refer to."""


class VideoSource:
    """The first video stream of a file."""

    def __init__(
        self,
        spec: SourceSpec,
        *,
        accounting: FrameAccounting,
        threads: int,
        first_image: int = 0,
        empty: Empty = np.empty,
    ) -> None:
        """Open the file.

        Args:
            spec: of the stream.
            accounting: of the stream; counts of an earlier reading are continued.
            threads: of the decoder.
            first_image: frames before this index come without their image, which saves time.
            empty: allocates the memory for each frame.

        Raises:
            SourceError: it cannot be opened, or holds no video.
        """
        self._spec = spec
        self._accounting = accounting
        self._tracker = PacketTracker(accounting, patience=_PATIENCE)
        self._threads = threads
        self._first_image = first_image
        self._empty = empty
        self._path = spec.paths[0]
        self._container = _open(spec)
        try:
            self._stream = find_video_stream(self._container, name=str(self._path))
            codec = self._stream.codec_context
            codec.thread_count = threads
            codec.thread_type = "AUTO" if threads > 1 else "NONE"
            codec.copy_opaque = True
            self.info = _info(spec, self._container, self._stream)
        except BaseException:
            self._container.close()
            raise
        self._converter = RgbConverter()
        self._last_pts: int | None = None
        self._last_size = self.info.size
        self._after_interlaced = False
        self._seen_key = False
        self._seen_image = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Item]:
        """See `Source.__iter__`."""
        try:
            yield from self._decode()
        finally:
            self._tracker.stopped("stopped")
        yield End(self._spec.name)

    def _decode(self) -> Iterator[Item]:
        num_before = self._accounting.packets
        for packet in self._packets():
            packet.opaque = number = self._tracker.read()
            self._tracker.sent(number, packet.pts, is_discard=packet.is_discard)
            self._seen_key = self._seen_key or packet.is_keyframe
            yield from self._send(packet)
            for sent in self._tracker.overdue():
                yield from self._give_up(sent)
        yield from self._send(None)
        for sent in self._tracker.rest():
            yield from self._give_up(sent)
        promised = self.info.num_frames or 0
        self._accounting.missing += max(0, promised - (self._accounting.packets - num_before))

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        """Return the packets that hold data; they end where the file does, orderly or not."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                log.warning("%s: reading stopped: %s", self._path, error.strerror)
                return
            if packet is None:
                return
            if packet.size:
                yield packet

    def _send(self, packet: "Packet[VideoStream] | None") -> Iterator[Item]:
        """Send a packet to the decoder, or None for the end; return what comes out."""
        try:
            frames = self._stream.codec_context.decode(packet)
        except FFmpegError:
            # With several threads the error may be an earlier packet's: it shows by its silence.
            if self._threads == 1 and packet is not None and self._tracker.refused():
                yield self._lose(packet.pts, "damaged packet")
            return
        for frame in frames:
            yield from self._take(frame)

    def _take(self, frame: VideoFrame) -> Iterator[Item]:
        if not self._tracker.came(frame.opaque):
            log.warning("%s: a second image of one packet is left out", self._path)
            return
        self._after_interlaced = frame.interlaced_frame
        if (fault := frame_fault(frame)) is not None:
            yield self._lose(frame.pts, fault)
            return
        index = self._accounting.decoded
        height, width = size = displayed_size(frame)
        canvas = image = None
        if index >= self._first_image:
            canvas = self._converter.canvas(frame, self._empty)
            image = canvas[:height, :width]
        pts = frame.pts if self.info.clock == "pts" else None
        yield from self._changes(pts, size)
        self._last_pts, self._last_size, self._seen_image = pts, size, True
        self._accounting.decoded += 1
        self._accounting.in_flight += 1
        meta = FrameMeta(self._spec.name, index, pts, self._time_base(pts), size)
        yield Frame(meta, image, canvas=canvas)

    def _changes(self, pts: int | None, size: Size) -> Iterator[Item]:
        name, index = self._spec.name, self._accounting.decoded
        if size != self._last_size:
            yield FormatChange(name, index, size_change(self._last_size, size))
        if self._seen_image and (pts is None) != (self._last_pts is None):
            yield FormatChange(name, index, "times end" if pts is None else "times begin")
        elif pts is not None and self._last_pts is not None and pts <= self._last_pts:
            yield FormatChange(name, index, "time runs backwards")

    def _time_base(self, pts: int | None) -> Fraction:
        if pts is None and self.info.clock == "pts":
            return 1 / _rate(self._stream)
        return self.info.time_base

    def _lose(self, pts: int | None, reason: str) -> Gap:
        self._tracker.lost(reason)
        shown = pts if self.info.clock == "pts" else None
        return Gap(self._spec.name, self._accounting.decoded, shown, reason)

    def _give_up(self, sent: SentPacket) -> Iterator[Item]:
        """Count a packet that gave no frame of its own; give a gap where one is missing."""
        if hidden := self._why_hidden(sent):
            self._tracker.without_frame(hidden)
        elif not self._seen_key:
            yield self._lose(sent.pts, "before the first key frame")
        else:
            yield self._lose(sent.pts, "no picture from the decoder")

    def _why_hidden(self, sent: SentPacket) -> str | None:
        """Return why a packet rightly gives no frame of its own; None if it should give one."""
        if sent.is_discard:
            return "outside the edit list"
        if self._stream.codec_context.name in _HIDING_CODECS:
            return "hidden frame"
        if self._after_interlaced and sent.pts is None:
            return "second field"
        return None


def _open(spec: SourceSpec) -> av.container.InputContainer:
    path = spec.paths[0]
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{spec.given}: the file is empty")
        return av.open(path, metadata_errors="replace")
    except FFmpegError as error:
        raise SourceError(f"{path}: not a video that FFmpeg can read ({error.strerror})") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error


def _info(
    spec: SourceSpec, container: av.container.InputContainer, stream: VideoStream
) -> SourceInfo:
    has_times, size = _probe(spec.paths[0], stream.index)
    # AVI numbers packets in the order of decoding, which is wrong once B frames reorder them.
    if container.format.name == "avi" and stream.codec_context.has_b_frames:
        has_times = False
    if has_times and stream.time_base is not None:
        return SourceInfo("pts", stream.time_base, stream.frames or None, size)
    return SourceInfo("index", 1 / _rate(stream), stream.frames or None, size)


def _rate(stream: VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or DEFAULT_RATE


def _probe(path: Path, index: int) -> tuple[bool, Size]:
    """Return whether the first packets of the file have times, and the displayed size."""
    times: list[int | None] = []
    size = None
    with av.open(path, metadata_errors="replace") as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        codec = stream.codec_context
        codec.thread_type = "NONE"
        try:
            for packet in islice(container.demux(stream), _PROBE_PACKETS):
                if packet.size:
                    times.append(packet.pts)
                if size is None:
                    size = next((displayed_size(frame) for frame in codec.decode(packet)), None)
        except FFmpegError:
            pass  # what is damaged here is counted when the file is really read
        if size is None:
            size = codec.height, codec.width
    # Second fields come without a time of their own; the frames that they complete have one.
    own = [time for time in times if time is not None]
    return len(set(own)) == len(own) >= len(times) / 2 > 0, size
