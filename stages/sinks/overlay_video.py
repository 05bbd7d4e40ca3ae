"""overlay.mp4: the mask blended over the image."""

from pathlib import Path

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from icstream.model import LabelSet
from icstream.stages.items import SegmentedFrame
from icstream.stages.sinks.video_sink import VideoSink

OPACITY = 0.5
# ultrafast takes a third of the time of veryfast for twice the size. zerolatency: the encoder
# delays no frame, so a crash loses none.
_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "g": "25"}


class OverlayVideo(VideoSink):
    """A sink for the classes' colors blended over the image, H.264 in MP4, BT.709."""

    wants_image = True

    def __init__(self, folder: Path, labels: LabelSet, *, stem: str = "overlay") -> None:
        super().__init__(folder, stem, codec="libx264", pix_fmt="yuv420p", options=_OPTIONS)
        self._blend = Blend(labels)
        self._reformatter = VideoReformatter()

    def write(self, frame: SegmentedFrame) -> None:
        """See base class."""
        if not self._holds(frame.meta):
            return
        blended = self._blend(frame.require_image(), frame.class_ids)
        height, width = frame.meta.size
        if height % 2 or width % 2:  # 4:2:0 chroma needs even sides
            blended = np.asarray(
                cv2.copyMakeBorder(
                    blended, 0, height % 2, 0, width % 2, borderType=cv2.BORDER_REPLICATE
                ),
                np.uint8,
            )
        converted = self._reformatter.reformat(
            VideoFrame.from_ndarray(blended, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        converted.colorspace, converted.color_range = Colorspace.ITU709, ColorRange.MPEG
        self._write(frame.meta, converted)


class Blend:
    """A blend of a mask's colors into images, which ids without a class leave unchanged."""

    def __init__(self, labels: LabelSet, *, opacity: float = OPACITY) -> None:
        self._colors = labels.palette()
        self._num_classes = len(labels)
        self._opacity = opacity

    def __call__(self, image: NDArray[np.uint8], ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the (H, W, 3) RGB blend of an image and its (H, W) mask."""
        colored = cv2.applyColorMap(ids, self._colors[:, None, :])
        blended = cv2.addWeighted(image, 1 - self._opacity, colored, self._opacity, 0)
        if int(ids.max()) >= self._num_classes:
            without = ids >= self._num_classes
            blended[without] = image[without]
        return np.asarray(blended, np.uint8)
