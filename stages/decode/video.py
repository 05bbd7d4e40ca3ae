"""Recordings, decoded by FFmpeg with every packet accounted for."""

import logging
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

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
from icstream.stages.decode.rgb import RgbConverter, displayed_size
from icstream.stages.decode.source import DEFAULT_RATE, SourceInfo
from icstream.stages.image_files import MAX_PIXELS
from icstream.stages.items import End, FormatChange, Frame, FrameMeta, Gap, Item, Size

log = logging.getLogger(__name__)


_PATIENCE = 128
"""A packet whose frame has not come after so many others will not give one."""
_PROBE_PACKETS = 64
"""Packets looked at to see whether a file has times."""
_HIDING_CODECS = frozenset({"vp8", "vp9", "av1"})
"""Codecs with frames that are only there for others to refer to."""


class _Sent(NamedTuple):
    """What must be remembered of a packet until its frame comes."""

    pts: int | None
    is_discard: bool


class VideoSource:
    """The first video stream of a file.

    A packet and its frame are matched by a number that the decoder carries along. A frame that
    the decoder had to patch up (it is flagged as corrupt) is not used: it shows what never was.
    """

    def __init__(
        self,
        spec: SourceSpec,
        *,
        accounting: FrameAccounting,
        threads: int,
        first_image: int = 0,
        empty: Empty = np.empty,
    ) -> None:
        """Opens the file.

        Args:
            spec: of the stream.
            accounting: of the stream; counts of an earlier reading are gone on from.
            threads: of the decoder.
            first_image: frames before this index come without their image, which saves time.
            empty: gives the memory for each frame.

        Raises:
            SourceError: it cannot be opened, or holds no video.
        """
        self._spec = spec
        self._books = accounting
        self._threads = threads
        self._first_image = first_image
        self._empty = empty
        self._path = spec.paths[0]
        self._container = _open(spec)
        try:
            self._stream = _video_stream(spec, self._container)
            codec = self._stream.codec_context
            codec.thread_count = threads
            codec.thread_type = "AUTO" if threads > 1 else "NONE"
            codec.copy_opaque = True
            self.info = _info(spec, self._container, self._stream)
        except BaseException:
            self._container.close()
            raise
        self._converter = RgbConverter()
        self._pending: OrderedDict[int, _Sent] = OrderedDict()
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
            if self._pending:  # the reader stopped in the middle
                self._books.without_frame["stopped"] += len(self._pending)
                self._books.in_decoder -= len(self._pending)
                self._pending.clear()
        yield End(self._spec.name)

    def _decode(self) -> Iterator[Item]:
        num_before = self._books.packets
        for packet in self._packets():
            self._books.packets += 1
            packet.opaque = self._books.packets
            self._books.in_decoder += 1
            self._pending[self._books.packets] = _Sent(packet.pts, packet.is_discard)
            self._seen_key = self._seen_key or packet.is_keyframe
            yield from self._feed(packet)
            while len(self._pending) > _PATIENCE:
                yield from self._give_up(self._pop_oldest())
        yield from self._feed(None)
        while self._pending:
            yield from self._give_up(self._pop_oldest())
        promised = self.info.num_frames or 0
        self._books.missing += max(0, promised - (self._books.packets - num_before))

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        """Gives the packets that hold data; ends where the file does, orderly or not."""
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

    def _feed(self, packet: "Packet[VideoStream] | None") -> Iterator[Item]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except FFmpegError:
            # With several threads the fault may be an earlier packet's: it shows by its silence.
            if packet is not None and self._threads == 1:
                del self._pending[self._books.packets]
                self._books.in_decoder -= 1
                yield self._lose(packet.pts, "damaged packet")
            return
        for frame in frames:
            yield from self._take(frame)

    def _take(self, frame: VideoFrame) -> Iterator[Item]:
        if self._pending.pop(int(frame.opaque), None) is None:  # type: ignore[call-overload]
            log.warning("%s: a second image of one packet is left out", self._path)
            return
        self._books.in_decoder -= 1
        self._after_interlaced = frame.interlaced_frame
        if frame.is_corrupt:
            yield self._lose(frame.pts, "damaged packet")
            return
        if frame.width * frame.height > MAX_PIXELS:
            yield self._lose(frame.pts, "picture too large")
            return
        index = self._books.decoded
        height, width = size = displayed_size(frame)
        canvas = image = None
        if index >= self._first_image:
            canvas = self._converter.canvas(frame, self._empty)
            image = canvas[:height, :width]
        pts = frame.pts if self.info.clock == "pts" else None
        yield from self._changes(pts, size)
        self._last_pts, self._last_size, self._seen_image = pts, size, True
        self._books.decoded += 1
        self._books.in_flight += 1
        meta = FrameMeta(self._spec.name, index, pts, self._time_base(pts), size)
        yield Frame(meta, image, canvas=canvas)

    def _changes(self, pts: int | None, size: Size) -> Iterator[Item]:
        name, index = self._spec.name, self._books.decoded
        if size != self._last_size:
            (old_h, old_w), (new_h, new_w) = self._last_size, size
            yield FormatChange(name, index, f"size {old_w}x{old_h} -> {new_w}x{new_h}")
        if self._seen_image and (pts is None) != (self._last_pts is None):
            yield FormatChange(name, index, "times end" if pts is None else "times begin")
        elif pts is not None and self._last_pts is not None and pts <= self._last_pts:
            yield FormatChange(name, index, "time runs backwards")

    def _time_base(self, pts: int | None) -> Fraction:
        if pts is None and self.info.clock == "pts":
            return 1 / _rate(self._stream)
        return self.info.time_base

    def _lose(self, pts: int | None, reason: str) -> Gap:
        self._books.undecodable[reason] += 1
        shown = pts if self.info.clock == "pts" else None
        return Gap(self._spec.name, self._books.decoded, shown, reason)

    def _pop_oldest(self) -> _Sent:
        self._books.in_decoder -= 1
        return self._pending.popitem(last=False)[1]

    def _give_up(self, sent: _Sent) -> Iterator[Item]:
        """Says why a packet gave no frame of its own."""
        hidden = None
        if sent.is_discard:
            hidden = "outside the edit list"
        elif self._stream.codec_context.name in _HIDING_CODECS:
            hidden = "hidden frame"
        elif self._after_interlaced and sent.pts is None:
            hidden = "second field"
        if hidden:
            self._books.without_frame[hidden] += 1
        elif not self._seen_key:
            yield self._lose(sent.pts, "before the first key frame")
        else:
            yield self._lose(sent.pts, "no picture from the decoder")


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


def _video_stream(spec: SourceSpec, container: av.container.InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if stream.codec_context is None or stream.codec_context.width == 0:
            continue
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    others = ", ".join(f"{stream.type}" for stream in container.streams) or "nothing"
    raise SourceError(f"{spec.paths[0]}: holds no video that can be decoded (it has: {others})")


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
    """Reads the beginning of the file: do its packets have times, and how large is it shown?"""
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
