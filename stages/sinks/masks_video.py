"""masks.mp4: class ids as a lossless gray video."""

from pathlib import Path

from av.video.frame import VideoFrame

from icstream.stages.items import ClassIds, Frame
from icstream.stages.sinks.video_sink import VideoSink

# Each picture stands alone (g=1), so that any cut of the file can be played from any frame.
_OPTIONS = {"g": "1", "level": "3"}


class MasksVideo(VideoSink):
    """Class ids as gray values, FFV1 in MP4."""

    wants_picture = False

    def __init__(self, folder: Path, *, stem: str = "masks") -> None:
        super().__init__(folder, stem, codec="ffv1", pix_fmt="gray", options=_OPTIONS)

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        assert isinstance(frame.result, ClassIds)
        self._write(frame.meta, VideoFrame.from_ndarray(frame.result.ids, format="gray"))
