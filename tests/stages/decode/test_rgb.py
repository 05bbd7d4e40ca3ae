"""Colors against the conversion formulas of BT.601, BT.709 and BT.2020 in floating point."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from icstream.stages import Frame, FrameAccounting
from icstream.stages.decode import open_source
from icstream.stages.decode.find import find_sources
from icstream.stages.decode.rgb import Orientation, RgbConverter, orient
from icstream.stages.decode.yuv import coefficients, yuv420_to_rgb
from support.clips import make_clip

# Luma weights of red and blue: ITU-R BT.601 section 2.5.1, BT.709 item 3.2, BT.2020 table 4.
WEIGHTS = {5: (0.299, 0.114), 6: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}


def formula(y: int, u: int, v: int, *, tag: int, full: bool, bits: int) -> NDArray[np.float64]:
    red, blue = WEIGHTS[tag]
    step = 2.0 ** (bits - 8)
    if full:
        peak = 2.0**bits - 1
        luma, cb, cr = y / peak, (u - 128 * step) / peak, (v - 128 * step) / peak
    else:
        luma = (y / step - 16) / 219
        cb, cr = (u / step - 128) / 224, (v / step - 128) / 224
    r = luma + 2 * (1 - red) * cr
    b = luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.asarray(np.clip(np.array([r, g, b]) * 255, 0, 255), np.float64)


def patch(y: int, u: int, v: int, *, pix_fmt: str, tag: int, full: bool) -> av.VideoFrame:
    frame = av.VideoFrame(64, 48, pix_fmt)
    dtype = np.uint16 if "10" in pix_fmt else np.uint8
    for plane, value in zip(frame.planes, (y, u, v), strict=True):
        count = plane.buffer_size // np.dtype(dtype).itemsize
        plane.update(np.full(count, value, dtype).tobytes())
    frame.colorspace = tag
    frame.color_range = 2 if full else 1
    return frame


@pytest.mark.parametrize("tag", [1, 5, 6, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_patches_are_within_two_levels(tag: int, full: bool, pix_fmt: str) -> None:
    converter = RgbConverter()
    bits = 10 if "10" in pix_fmt else 8
    random = np.random.default_rng(0)
    for _ in range(25):
        y, u, v = (int(x) << (bits - 8) for x in random.integers((40, 90, 90), (200, 166, 166)))
        got = converter.rgb(patch(y, u, v, pix_fmt=pix_fmt, tag=tag, full=full))
        wanted = formula(y, u, v, tag=tag, full=full, bits=bits)
        assert np.abs(got[24, 32] - wanted).max() <= 2


@pytest.mark.parametrize(("height", "tag"), [(576, 5), (720, 1)])
def test_untagged_images_follow_their_height(height: int, tag: int) -> None:
    frame = av.VideoFrame(64, height, "yuv444p")
    for plane, value in zip(frame.planes, (120, 100, 150), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    got = RgbConverter().rgb(frame)[0, 0]
    assert np.abs(got - formula(120, 100, 150, tag=tag, full=False, bits=8)).max() <= 2


@pytest.mark.parametrize("space", [Colorspace.ITU601, Colorspace.ITU709])
@pytest.mark.parametrize("full", [ColorRange.MPEG, ColorRange.JPEG])
def test_a_tagged_clip_gives_the_colors_that_went_in(
    tmp_path: Path, space: Colorspace, full: ColorRange
) -> None:
    colors = [(200, 60, 40), (40, 160, 80), (60, 80, 190), (128, 128, 128)]
    images = [np.full((64, 96, 3), color, np.uint8) for color in colors]
    path = make_clip(
        tmp_path / "clip.mp4",
        pts=range(4),
        images=images,
        color=(space, full),
        options={"qp": "0"},
    )
    (spec,) = find_sources([str(path)])
    with open_source(spec, accounting=FrameAccounting()) as source:
        frames = [item for item in source if isinstance(item, Frame)]
    for frame, color in zip(frames, colors, strict=True):
        assert frame.image is not None
        assert np.abs(frame.image[32, 48].astype(int) - color).max() <= 2


def test_transposing_comes_before_mirroring() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    turned_left = Orientation(transposed=True, top_bottom=True)
    assert orient(image, turned_left)[:, :, 0].tolist() == np.rot90(image[:, :, 0]).tolist()
    assert orient(image, Orientation())[:, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (2, 2), (1, 1), (9, 130)])
@pytest.mark.parametrize("full", [False, True])
def test_chroma_between_luma_is_interpolated(size: tuple[int, int], full: bool) -> None:
    height, width = size
    rows, columns = (height + 1) // 2, (width + 1) // 2
    random = np.random.default_rng(0)
    y = random.integers(16, 236, size, np.uint8)
    u, v = random.integers(60, 190, (2, rows, columns), np.uint8)
    got = np.empty((3, *size), np.uint8)
    yuv420_to_rgb(y, u, v, coefficients(red=0.299, blue=0.114, full_range=full), got)

    def at_luma(count: int, small: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        places = np.clip((np.arange(count) + 0.5) / 2 - 0.5, 0, small - 1)
        below = np.minimum(places.astype(int), max(small - 2, 0))
        return below, places - below

    def large(plane: NDArray[np.uint8]) -> NDArray[np.float64]:
        (i, fy), (j, fx) = at_luma(height, rows), at_luma(width, columns)
        i2, j2 = np.minimum(i + 1, rows - 1), np.minimum(j + 1, columns - 1)
        fy, there = fy[:, None], plane.astype(float)
        top = there[i][:, j] * (1 - fx) + there[i][:, j2] * fx
        bottom = there[i2][:, j] * (1 - fx) + there[i2][:, j2] * fx
        return np.asarray(top * (1 - fy) + bottom * fy)

    luma = y.astype(float) if full else (y - 16.0) * 255 / 219
    span = 1.0 if full else 255 / 224
    cb, cr = (large(u) - 128) * span, (large(v) - 128) * span
    red, blue = luma + 1.402 * cr, luma + 1.772 * cb
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    wanted = np.clip([red, green, blue], 0, 255)
    assert np.abs(got - wanted).max() <= 0.51
