"""Conversion of decoded frames to RGB, by the color tags of the stream."""

from typing import Any, NamedTuple

import numpy as np
from av import VideoFrame
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from icstream.model.geometry import canvas_size
from icstream.model.planar import Empty, empty_planar, planes
from icstream.stages.items import Size

HD_LINES = 720
"""The height from which untagged frames are BT.709, as in players; lower ones are BT.601."""

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
# swscale's fastest path is up to 3 levels too dark; with these flags it is exact to half a level,
# and planar RGB takes a third of the time of packed RGB.
_SCALING = Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BILINEAR


class Orientation(NamedTuple):
    """The steps from a coded frame to the displayed one: first transposed, then mirrored."""

    transposed: bool = False
    left_right: bool = False
    """Whether it is mirrored left to right, as displayed."""
    top_bottom: bool = False
    """Whether it is mirrored top to bottom, as displayed."""


class RgbConverter:
    """A converter of one stream's frames to RGB, which caches its tables."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return (H, W, 3) planar RGB of the displayed size: converted by tag, cropped, rotated."""
        height, width = displayed_size(frame)
        return self.canvas(frame)[:height, :width]

    def canvas(self, frame: VideoFrame, empty: Empty = np.empty) -> NDArray[np.uint8]:
        """Return the same at the top left of memory with the size of the network's input.

        Args:
            frame: The decoded frame.
            empty: A function that allocates the memory.

        Returns:
            The (h, w, 3) planar memory, of the size to which `Fit` pads frames; pixels outside the
            frame are undefined.
        """
        orientation = orientation_of(frame)
        height, width = size = _oriented_size(frame, orientation)
        canvas_hw3 = empty_planar(canvas_size(size), empty)
        untagged = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
        matrix = _MATRICES.get(int(frame.colorspace), untagged)
        full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        is_420 = frame.format.name in ("yuv420p", "yuvj420p") and matrix in _LUMA_WEIGHTS
        if is_420 and not any(orientation):
            _from_420(frame, matrix, planes(canvas_hw3), full=full)
            return canvas_hw3
        if is_420:
            rgb_HW3 = empty_planar((frame.height, frame.width))
            _from_420(frame, matrix, planes(rgb_HW3), full=full)
        else:
            rgb_HW3 = self._from_any(frame, matrix, full=full)
        canvas_hw3[:height, :width] = orient(rgb_HW3, orientation)
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
    # Imported here, as its compiler takes half a second.
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


def orient(image: NDArray[np.uint8], orientation: Orientation) -> NDArray[np.uint8]:
    """Return a view of a coded frame in its displayed orientation."""
    if orientation.transposed:
        image = image.swapaxes(0, 1)
    if orientation.left_right:
        image = image[:, ::-1]
    return image[::-1] if orientation.top_bottom else image


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return the orientation of a frame's display matrix, to the nearest right angle.

    The matrix maps (x, y) of the coded frame to (a x + c y, b x + d y) of the displayed one
    (ISO/IEC 14496-12, section 6.2.2).
    """
    found: Any = frame.side_data  # PyAV 18 declares another type than it has
    data = found.get(Type.DISPLAYMATRIX)
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(memoryview(data), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, left_right=c < 0, top_bottom=b < 0)
    return Orientation(left_right=a < 0, top_bottom=d < 0)


def displayed_size(frame: VideoFrame) -> Size:
    """Return the displayed (height, width) of a frame."""
    return _oriented_size(frame, orientation_of(frame))


def _oriented_size(frame: VideoFrame, orientation: Orientation) -> Size:
    size = (frame.height, frame.width)
    return size[::-1] if orientation.transposed else size
