"""Small real recordings for tests."""

import os
import shutil
import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray


@lru_cache(maxsize=4)
def scene(height: int, width: int) -> NDArray[np.uint8]:
    """Return soft colored noise."""
    noise = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    low, high = int(soft.min()), int(soft.max())
    return np.asarray((soft.astype(np.float32) - low) * (255 / (high - low)), np.uint8)


def moving_image(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return image `index` of an endless pan over a scene."""
    height, width = size
    y, x = index % 64, (2 * index) % 64
    whole = scene(height + 64, width + 64)
    return np.ascontiguousarray(whole[y : y + height, x : x + width])


def make_clip(
    path: Path,
    *,
    pts: Sequence[int] = tuple(range(12)),
    time_base: Fraction = Fraction(1, 25),
    size: tuple[int, int] = (64, 96),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    gop: int = 6,
    container: str | None = None,
    images: Sequence[NDArray[np.uint8]] | None = None,
    color: tuple[Colorspace, ColorRange] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a clip whose frames have exactly these times.

    MP4 and MOV are written with `use_editlist=0` if the start is not 0, as by cameras.
    """
    format_options = {}
    if path.suffix in (".mp4", ".mov"):
        format_options["video_track_timescale"] = str(time_base.denominator)
        if pts[0] != 0:
            format_options["movflags"] = (
                "frag_keyframe+empty_moov+default_base_moof+delay_moov+frag_discont"
            )
    rate = 1 / time_base if time_base > Fraction(1, 200) else Fraction(25)
    with av.open(path, "w", format=container, options=format_options) as file:
        file.metadata.update(metadata or {})
        stream = file.add_stream(codec, rate=rate, options=options or {})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.gop_size = gop
        stream.time_base = stream.codec_context.time_base = time_base
        if color:
            stream.codec_context.colorspace, stream.codec_context.color_range = color
        for index, time in enumerate(pts):
            image = images[index] if images else moving_image(index, size)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if color:
                frame = frame.reformat(
                    format=pix_fmt, dst_colorspace=color[0], dst_color_range=color[1]
                )
            else:
                frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = time, time_base
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def instant(frame: av.VideoFrame) -> Fraction:
    """Return the exact presentation time of a decoded frame, in seconds."""
    assert frame.pts is not None
    assert frame.time_base is not None
    return Fraction(frame.pts * frame.time_base)


def packet_places(path: Path) -> list[tuple[int, int]]:
    """Return the (position in the file, size) of each video packet, in file order."""
    with av.open(path) as file:
        return [(p.pos or 0, p.size) for p in file.demux(video=0) if p.size]


def damage_packet(path: Path, number: int) -> None:
    """Overwrite the middle third of a packet with noise."""
    position, size = packet_places(path)[number]
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(1).integers(0, 256, size // 3, dtype=np.uint8).tobytes()
    content[position + size // 3 : position + size // 3 + len(noise)] = noise
    path.write_bytes(content)


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set the display matrix of an MP4 (ISO/IEC 14496-12, section 8.3.2)."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (value * 2**16 for value in matrix)
    begin = content.index(b"tkhd") + 44  # after version 0's times, layer, volume
    content[begin : begin + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30)
    path.write_bytes(content)


def require_program(name: str) -> str:
    """Return the path of a program, or skip the test (fail under REQUIRE_ALL) without it."""
    path = shutil.which(name)
    if path is None:
        reason = f"the program {name} is not installed (see .ci/run for the packages)"
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
