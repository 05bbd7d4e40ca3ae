"""masks.mp4: class ids as a lossless gray video."""

from pathlib import Path

from av.video.frame import VideoFrame

from icstream.stages.items import ClassIds, Frame
from icstream.stages.sinks.ffv1 import FFV1_OPTIONS, ffv1_encoder
from icstream.stages.sinks.video_sink import VideoSink


class MasksVideo(VideoSink):
    """Class ids as gray values, FFV1 in MP4."""

    wants_picture = False

    def __init__(self, folder: Path, *, stem: str = "masks") -> None:
        super().__init__(folder, stem, codec="ffv1", pix_fmt="gray", options=FFV1_OPTIONS)

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        assert isinstance(frame.result, ClassIds)
        ids = frame.result.ids
        encoder = ffv1_encoder(ids.shape)
        # FFmpeg encodes the first picture of a file, as it must describe the file's content.
        if self._current is None or encoder is None:
            self._write(frame.meta, VideoFrame.from_ndarray(ids, format="gray"))
        else:
            self._current.write_packet(frame.meta, encoder.encode(ids))
