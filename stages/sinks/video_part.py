"""One fragmented MP4 file in which every frame stands at its exact time."""

from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from icstream.stages.items import FrameMeta
from icstream.stages.sinks.fragments import FragmentAppender, read_fragments
from icstream.stages.sinks.sink import Part

# One fragment per frame, no finalization needed: what is on disk can be played.
# frag_discont keeps starts other than zero; the muxer would shift them.
_MOVFLAGS = "frag_every_frame+empty_moov+default_base_moof+delay_moov+frag_discont+skip_trailer"


class VideoPart:
    """A video file, opened with its first frame."""

    def __init__(
        self,
        path: Path,
        first: FrameMeta,
        *,
        codec: str,
        pix_fmt: str,
        encoded_size: tuple[int, int],
        options: dict[str, str],
        num_done: int = 0,
    ) -> None:
        """Create the file.

        Args:
            path: of the file.
            first: of the first frame; it fixes time base and clock of the part.
            codec: FFmpeg's name of the encoder.
            pix_fmt: FFmpeg's name of the pixel format.
            encoded_size: (height, width) of the images to come.
            options: of the encoder.
            num_done: frames that an earlier run wrote; the file is cut behind them and continued.

        Raises:
            OSError: the file cannot be created, or cut.
        """
        self._path = path
        self._first = first
        self._num_frames = num_done
        # MP4 counts in whole fractions of a second: 1001/30000 s becomes 1001 units of 1/30000 s.
        self._unit = Fraction(1, first.time_base.denominator)
        target: Path | FragmentAppender = path
        number = 1
        if num_done:
            number += cut_back(path, num_done)
            target = FragmentAppender(path.open("ab"))
        self._target = target
        self._container = av.open(
            target,
            "w",
            format="mp4",
            options={
                "movflags": _MOVFLAGS,
                "video_track_timescale": str(self._unit.denominator),
                "fflags": "+bitexact+flush_packets",
                "fragment_index": str(number),
            },
        )
        stream = self._container.add_stream(codec, options=options)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.height, self._stream.width = encoded_size
        self._stream.pix_fmt = pix_fmt
        self._stream.time_base = self._stream.codec_context.time_base = self._unit
        self._stream.codec_context.thread_count = 1

    @property
    def codec_context(self) -> av.VideoCodecContext:
        """The encoder, for color tags."""
        return self._stream.codec_context

    def part(self) -> Part:
        """Return the entry for the report."""
        return Part.beginning(self._path.name, self._first, num_frames=self._num_frames)

    def write(self, meta: FrameMeta, image: VideoFrame) -> None:
        """Encode an image at the frame's time.

        Raises:
            OSError: the disk is full, or gone.
        """
        image.pts = _pts(meta)
        image.time_base = self._unit
        self._container.mux(self._stream.encode(image))
        self._end_frame()

    def write_packet(self, meta: FrameMeta, data: bytes) -> None:
        """Put a key frame that was encoded elsewhere at the frame's time.

        Raises:
            OSError: the disk is full, or gone.
        """
        packet = Packet(data)
        packet.stream = self._stream
        packet.pts = packet.dts = _pts(meta)
        packet.time_base = self._unit
        packet.is_keyframe = True
        self._container.mux(packet)
        self._end_frame()

    def _end_frame(self) -> None:
        if isinstance(self._target, FragmentAppender):
            self._target.flush()
        self._num_frames += 1

    def close(self) -> None:
        """Write what the encoder still holds and close the file."""
        try:
            self._container.mux(self._stream.encode())
        finally:
            self._container.close()
            if isinstance(self._target, FragmentAppender):
                self._target.close()


def _pts(meta: FrameMeta) -> int:
    """Return the time of a frame in the units of its part."""
    return (meta.index if meta.pts is None else meta.pts) * meta.time_base.numerator


def cut_back(path: Path, num_frames: int) -> int:
    """Cut a file behind its first frames; return the number of fragments that are left.

    `num_frames` ends a fragment, as `VideoSink.restart_point` ensures.
    """
    fragments = read_fragments(path)
    count = fragments.count_within(num_frames)
    with path.open("r+b") as file:
        file.truncate(fragments.ends[count - 1])
    return count
