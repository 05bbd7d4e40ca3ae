"""From a decoder's frame to RGB, by the color tags of the stream."""

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from icstream.model.geometry import canvas_size
from icstream.model.planar import Empty, empty_planar, planes
from icstream.stages.items import Size

HD_LINES = 720
"""Untagged frames are BT.709 from this height on and BT.601 below, as players show them."""

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
_LUMA_WEIGHTS = {
    Colorspace.ITU601: (0.299, 0.114),  # ITU-R BT.601 section 2.5.1
    Colorspace.ITU709: (0.2126, 0.0722),  # BT.709 item 3.2
}
"""The weights of red and blue in luma, by matrix."""
_FULL_RANGE = 2
# swscale's fastest path is up to 3 levels too dark; with these two it is right to half a level,
# and planar RGB costs it a third of what packed RGB does.
_SCALING = Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BILINEAR


class RgbConverter:
    """Turns frames of one stream into RGB; keeps its tables from frame to frame."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return (H, W, 3) planar RGB of the displayed size: converted by tag, cropped, turned."""
        height, width = displayed_size(frame)
        return self.canvas(frame)[:height, :width]

    def canvas(self, frame: VideoFrame, empty: Empty = np.empty) -> NDArray[np.uint8]:
        """Return the same in the top left of memory as large as the network's input is.

        Args:
            frame: as the decoder gave it.
            empty: allocates the memory.

        Returns:
            (h, w, 3) planar, of the size that `Fit` pads frames to; what is beyond the frame
            is undefined.
        """
        height, width = size = displayed_size(frame)
        canvas_hw3 = empty_planar(canvas_size(size), empty)
        untagged = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
        matrix = _MATRICES.get(int(frame.colorspace), untagged)
        full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        is_420 = frame.format.name in ("yuv420p", "yuvj420p") and matrix in _LUMA_WEIGHTS
        if is_420 and not round(frame.rotation / 90) % 4:
            _from_420(frame, matrix, planes(canvas_hw3), full=full)
            return canvas_hw3
        if is_420:
            rgb_HW3 = empty_planar((frame.height, frame.width))
            _from_420(frame, matrix, planes(rgb_HW3), full=full)
        else:
            rgb_HW3 = self._from_any(frame, matrix, full=full)
        canvas_hw3[:height, :width] = turn(rgb_HW3, frame.rotation)
        return canvas_hw3

    def _from_any(self, frame: VideoFrame, matrix: Colorspace, *, full: bool) -> NDArray[np.uint8]:
        converted = self._reformatter.reformat(
            frame,
            format="gbrp",
            src_colorspace=matrix,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.JPEG,
            interpolation=_SCALING,
            threads=1,
        )
        green, blue, red = _planes_of(converted)
        return np.stack([red, green, blue]).transpose(1, 2, 0)


def _from_420(
    frame: VideoFrame, matrix: Colorspace, planes_3hw: NDArray[np.uint8], *, full: bool
) -> None:
    # Here and not above: the compiler behind it takes half a second.
    from icstream.stages.decode.yuv import coefficients, yuv420_to_rgb

    red, blue = _LUMA_WEIGHTS[matrix]
    weights = coefficients(red=red, blue=blue, full_range=full)
    yuv420_to_rgb(*_planes_of(frame), weights, planes_3hw)


def _planes_of(frame: VideoFrame) -> list[NDArray[np.uint8]]:
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[
            :, : plane.width
        ]
        for plane in frame.planes
    ]


def turn(image: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Return a view of the frame, turned counter-clockwise to the nearest right angle."""
    return np.rot90(image, round(degrees / 90) % 4)


def displayed_size(frame: VideoFrame) -> Size:
    """Return (height, width) of the frame once it is turned as it should be shown."""
    turned = round(frame.rotation / 90) % 2
    return (frame.width, frame.height) if turned else (frame.height, frame.width)
