"""masks.mp4: class ids as a lossless gray video."""

from pathlib import Path

from av.video.frame import VideoFrame

from icstream.stages.items import SegmentedFrame
from icstream.stages.sinks.ffv1 import FFV1_OPTIONS, Ffv1Encoder, ffv1_encoder
from icstream.stages.sinks.video_sink import VideoSink


class MasksVideo(VideoSink):
    """A sink for class ids as gray values, FFV1 in MP4."""

    wants_image = False

    def __init__(self, folder: Path, *, stem: str = "masks") -> None:
        super().__init__(folder, stem, codec="ffv1", pix_fmt="gray", options=FFV1_OPTIONS)
        self._encoder: Ffv1Encoder | None = None

    def write(self, frame: SegmentedFrame) -> None:
        """See base class."""
        if not self._holds(frame.meta):
            return
        class_ids = frame.class_ids
        if self._current is not None and self._encoder is not None:
            self._current.write_packet(frame.meta, self._encoder.encode(class_ids))
            return
        if self._current is None:
            self._encoder = ffv1_encoder(class_ids.shape)
        self._write(frame.meta, VideoFrame.from_ndarray(class_ids, format="gray"))
