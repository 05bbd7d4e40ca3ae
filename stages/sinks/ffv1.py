"""A fast FFV1 encoder for class ids, with the same bytes as FFmpeg's.

FFmpeg examines every pixel; masks consist mostly of runs, which `ffv1_coder` skips with vector
instructions. FFmpeg's choice of slices and their headers is learned once for each size, from an
image that it encodes. If its packets are not as expected (another version may slice or code
differently), FFmpeg itself encodes.
"""

import logging
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

log = logging.getLogger(__name__)

# Each image is independent (g=1), so that any part of the file can be played from any frame.
FFV1_OPTIONS = {"g": "1", "level": "3"}
_FOOTER = 8
"""The bytes after each slice: its size (3), an error status (1), a checksum (4)."""


class Ffv1Encoder:
    """An encoder for images of one size, divided into a grid of slices."""

    def __init__(self, size: tuple[int, int], grid: tuple[int, int], headers: list[bytes]) -> None:
        """Set the (height, width), the numbers of slices (down, across), and the headers by row."""
        self._size = size
        self._rows, self._columns = (
            np.arange(count + 1) * side // count for side, count in zip(size, grid, strict=True)
        )
        self._headers = np.frombuffer(b"".join(headers), np.uint8)
        self._header_starts = np.array([0, *accumulate(map(len, headers))])
        self._max_bytes = 4 * size[0] * size[1] + len(self._headers) + 64 * len(headers)

    def encode(self, ids_HW: NDArray[np.uint8]) -> bytes:
        """Return the packet of a key frame; the image must have the encoder's size."""
        assert ids_HW.shape == self._size
        # Imported here, as numba is slow to import.
        from icstream.stages.sinks.ffv1_coder import encode_slices

        ids = np.ascontiguousarray(ids_HW).view()
        ids.flags.writeable = False  # always, as numba compiles for each type of array
        out = np.empty(self._max_bytes, np.uint8)
        end = encode_slices(
            ids,
            self._rows,
            self._columns,
            self._headers,
            self._header_starts,
            out,
        )
        return out[:end].tobytes()


@lru_cache(maxsize=64)
def ffv1_encoder(size: tuple[int, int]) -> Ffv1Encoder | None:
    """Return the encoder of images of (height, width), or None if FFmpeg's packets differ."""
    image = _test_image(size)
    images = [image, np.ascontiguousarray(image[::-1, ::-1])]
    try:
        encoder = learn_encoder(images, encode_by_ffmpeg(images))
    except FFmpegError:  # it refuses some sizes, with its own error
        encoder = None
    if encoder is None:
        log.debug("FFmpeg's FFV1 is not as expected at %dx%d; encoding with FFmpeg", *size[::-1])
    return encoder


def learn_encoder(images: list[NDArray[np.uint8]], packets: list[bytes]) -> Ffv1Encoder | None:
    """Return the encoder that turns these images into exactly these packets, or None."""
    height, width = images[0].shape
    slices = split_slices(packets[0])
    for down in range(1, min(height, len(slices)) + 1):
        across = len(slices) // down
        if down * across != len(slices) or across > width:
            continue
        grid = (down, across)
        bare = Ffv1Encoder((height, width), grid, [b""] * len(slices)).encode(images[0])
        pairs = list(zip(slices, split_slices(bare), strict=True))
        if all(whole.endswith(pixels) for whole, pixels in pairs):
            headers = [whole.removesuffix(pixels) for whole, pixels in pairs]
            encoder = Ffv1Encoder((height, width), grid, headers)
            return encoder if list(map(encoder.encode, images)) == packets else None
    return None


def split_slices(packet: bytes) -> list[bytes]:
    """Return the slices of a packet without footers; none if it does not consist of slices."""
    slices: list[bytes] = []
    end = len(packet)
    while end > _FOOTER:
        stop = end - _FOOTER
        end = stop - int.from_bytes(packet[stop : stop + 3])
        slices.append(packet[max(end, 0) : stop])
    return slices[::-1] if end == 0 else []


def encode_by_ffmpeg(images: list[NDArray[np.uint8]]) -> list[bytes]:
    """Return the packets of FFmpeg's encoder for images of one size."""
    codec = av.VideoCodecContext.create("ffv1", "w")
    codec.height, codec.width = images[0].shape
    codec.pix_fmt = "gray"
    codec.time_base = Fraction(1, 25)
    codec.options = FFV1_OPTIONS
    codec.thread_count = 1
    frames = [VideoFrame.from_ndarray(image, format="gray") for image in images]
    return [bytes(packet) for frame in frames for packet in codec.encode(frame)]


def _test_image(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image of few edges between long runs, with noise in the middle of each quarter."""
    random = np.random.default_rng(0)
    height, width = size
    ids = random.integers(0, 20, (height // 64 + 1, width // 40 + 1), np.uint8)
    image = ids.repeat(64, 0).repeat(40, 1)[:height, :width]
    for middle in range(height // 8, height, height // 4 + 1):
        band = image[middle : middle + 2]
        band[:] = random.integers(0, 256, band.shape, np.uint8)
    return np.ascontiguousarray(image)
