"""One fragmented MP4 file in which every frame has its exact time."""

import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from icstream.stages.items import FrameMeta, Size
from icstream.stages.sinks.fragments import FragmentFile, cut_back
from icstream.stages.sinks.sink import Part

log = logging.getLogger(__name__)

# One fragment per frame needs no finalization: the file on disk can always be played. frag_discont
# keeps start times other than zero, which the muxer would shift.
_MOVFLAGS = "frag_every_frame+empty_moov+default_base_moof+delay_moov+frag_discont+skip_trailer"
_MAX_DURATION = 2**31 - 1
"""The largest duration of a frame in FFmpeg's muxer, in units of the track."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFormat:
    """The encoding of a file."""

    codec: Literal["ffv1", "libx264"]
    """FFmpeg's name of the encoder."""
    pix_fmt: Literal["gray", "yuv420p"]
    """FFmpeg's name of the pixel format."""
    size: Size
    """The (height, width) of the encoded images."""
    options: dict[str, str]
    """The options of the encoder."""
    colorspace: Colorspace | int
    """The color space tag of the file."""
    color_range: ColorRange | int
    """The color range tag of the file."""
    pixel_aspect: Fraction | None
    """The width of a pixel divided by its height, as in `FrameMeta`."""


class VideoPart:
    """A video file, which is opened with its first frame."""

    def __init__(
        self, path: Path, first: FrameMeta, video_format: VideoFormat, *, num_done: int = 0
    ) -> None:
        """Create the file.

        Args:
            path: The path of the file.
            first: The first frame, which determines the time base and clock of the part.
            video_format: The encoding of all images.
            num_done: The number of frames of an earlier run, after which the file is truncated and
                continued.

        Raises:
            OSError: The file cannot be created or truncated.
        """
        self._path = path
        self._first = first
        self._format = video_format
        self._num_frames = num_done
        # MP4 has integer units per second: 1001/30000 s becomes 1001 units of 1/30000 s.
        self._unit = Fraction(1, first.time_base.denominator)
        self._last = cut_back(path, num_done).time if num_done else None
        """The presentation time of the last frame, in units; None before the first."""
        self._num_moved = 0
        self._file = FragmentFile(path, continued=bool(num_done))
        self._container, self._stream = self._open_muxer()

    def _open_muxer(self) -> tuple[OutputContainer, VideoStream]:
        """Open a muxer that continues after the frames in the file."""
        container = av.open(
            self._file,
            "w",
            format="mp4",
            options={
                "movflags": _MOVFLAGS,
                "video_track_timescale": str(self._unit.denominator),
                "fflags": "+bitexact+flush_packets",
                "fragment_index": str(self._num_frames + 1),
            },
        )
        stream = container.add_stream(self._format.codec, options=self._format.options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = self._format.size
        stream.pix_fmt = self._format.pix_fmt
        stream.time_base = stream.codec_context.time_base = self._unit
        stream.codec_context.thread_count = 1
        stream.codec_context.colorspace = self._format.colorspace
        stream.codec_context.color_range = self._format.color_range
        if self._format.pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = self._format.pixel_aspect
        return container, stream

    def part(self) -> Part:
        """Return the part for the report."""
        return Part.beginning(self._path.name, self._first, num_frames=self._num_frames)

    def write(self, meta: FrameMeta, image: VideoFrame) -> None:
        """Encode an image at the frame's time.

        Raises:
            OSError: The disk is full or lost.
        """
        image.pts = self._place(meta)
        image.time_base = self._unit
        self._container.mux(self._stream.encode(image))
        self._end_frame()

    def write_packet(self, meta: FrameMeta, data: bytes) -> None:
        """Write an externally encoded key frame at the frame's time.

        Raises:
            OSError: The disk is full or lost.
        """
        packet = Packet(data)
        packet.pts = packet.dts = self._place(meta)
        packet.stream = self._stream
        packet.time_base = self._unit
        packet.is_keyframe = True
        self._container.mux(packet)
        self._end_frame()

    def close(self) -> None:
        """Flush the encoder and close the file."""
        try:
            self._close_muxer()
        finally:
            self._file.close()
        if self._num_moved:
            log.warning(
                "%s/%s: times must increase; frames moved to one unit after the one before: %d",
                self._path.parent.name,
                self._path.name,
                self._num_moved,
            )

    def _place(self, meta: FrameMeta) -> int:
        """Return the presentation time of the frame, in units, and prepare the file for it.

        Times in this container must increase.
        """
        time = (meta.index if meta.pts is None else meta.pts) * meta.time_base.numerator
        if self._last is not None and time <= self._last:
            time = self._last + 1
            self._num_moved += 1
        if self._last is not None and time - self._last >= _MAX_DURATION:
            # No frame can last that long, but a fragment may begin at any time.
            self._close_muxer()
            self._file.continue_behind()
            self._container, self._stream = self._open_muxer()
        self._last = time
        return time

    def _end_frame(self) -> None:
        self._file.commit()
        self._num_frames += 1

    def _close_muxer(self) -> None:
        try:
            self._container.mux(self._stream.encode())
        finally:
            self._container.close()
            self._file.commit()
