"""From a decoder's picture to RGB, by the colour tags of the stream."""

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

HD_LINES = 720
"""Untagged pictures are BT.709 from this height on and BT.601 below, as players show them."""

# FFmpeg's AVColorSpace (ITU-T H.273, matrix coefficients) to the matrices that swscale has.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,  # BT.470BG
    6: Colorspace.ITU601,  # SMPTE 170M
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_FULL_RANGE = 2
# swscale's fastest path is up to 3 levels too dark; with these two it is right to half a level,
# and planar RGB, interleaved afterwards, costs it a third of what packed RGB does.
_SCALING = Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BILINEAR


class RgbConverter:
    """Turns frames of one stream into RGB; keeps its tables from frame to frame."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Gives (H, W, 3) RGB of the displayed size: converted by tag, cropped and turned."""
        untagged = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
        full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        converted = self._reformatter.reformat(
            frame,
            format="gbrp",
            src_colorspace=_MATRICES.get(int(frame.colorspace), untagged),
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.JPEG,
            interpolation=_SCALING,
            threads=1,
        )
        green, blue, red = (
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[
                :, : plane.width
            ]
            for plane in converted.planes
        )
        return turn(np.asarray(cv2.merge([red, green, blue]), np.uint8), frame.rotation)


def turn(picture: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Gives the picture turned counter-clockwise to the nearest right angle, contiguous."""
    return np.ascontiguousarray(np.rot90(picture, round(degrees / 90) % 4))
