"""Images and label images of data sets, checked before they are unpacked."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from icstream.model.errors import SampleError
from icstream.stages.input_files import naming, read_bytes

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".mpo", ".bmp", ".png", ".webp", ".tiff", ".tif"})
"""In lower case; files may have them in any."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _INDEXED = 0, 3
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


class PngHeader(NamedTuple):
    """What a PNG says of itself in its first chunk (PNG specification, section 11.2.2, IHDR)."""

    width: int
    height: int
    depth: int
    """Bits per channel, or per index."""
    color_type: int
    """0 gray, 2 RGB, 3 indexed, 4 gray and alpha, 6 RGB and alpha."""


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Gives the (H, W, 3) RGB of an image file, turned as its EXIF says.

    Alpha is dropped, gray is spread over three channels, 16 bits are scaled to 8.

    Raises:
        SampleError: missing, damaged, cut off, or more than `MAX_PIXELS`.
    """
    data = read_bytes(path)
    with naming(path):
        return rgb_of(data)


def rgb_of(data: bytes) -> NDArray[np.uint8]:
    """Gives the image in the bytes of an image file; see `read_rgb`."""
    check_size(*_size_in_header(data))
    if data.startswith(_JPEG_START) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        raise SampleError("the image is cut off")  # some decoders would fill it up with gray
    return np.asarray(cv2.cvtColor(decode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def read_ids(path: Path) -> NDArray[np.uint8]:
    """Gives the (H, W) pixel values of an 8-bit gray PNG, or the indices of an indexed one.

    Raises:
        SampleError: missing, damaged, of another kind, or more than `MAX_PIXELS`.
    """
    data = read_bytes(path)
    with naming(path):
        header = png_header(data)
        check_size(header.width, header.height)
        if (header.color_type, header.depth) != (_GRAY, 8) and header.color_type != _INDEXED:
            raise SampleError("neither 8-bit gray nor indexed, as labels must be")
        try:
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                return np.array(image, np.uint8)
        except (OSError, SyntaxError, ValueError) as error:
            raise SampleError("the image is damaged") from error


def png_header(data: bytes) -> PngHeader:
    """Reads the first chunk of a PNG.

    Raises:
        SampleError: the data is no PNG.
    """
    if not data.startswith(_PNG_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise SampleError("no PNG")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return PngHeader(width, height, data[24], data[25])


def check_size(width: int, height: int) -> None:
    """Lets sizes pass that may be allocated.

    Raises:
        SampleError: more than `MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise SampleError(f"{width}x{height} pixels are more than the allowed {MAX_PIXELS}")


def decode(data: bytes, flags: int) -> NDArray[Any]:
    """Unpacks an image as `cv2.imdecode` does; its size must have been checked before.

    Raises:
        SampleError: it is damaged.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise SampleError("the image is damaged") from error
    if image is None:
        raise SampleError("the image is damaged or cut off")
    return np.asarray(image)


def _size_in_header(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except UnidentifiedImageError as error:
        raise SampleError("no image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SampleError(f"more pixels than the allowed {MAX_PIXELS}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise SampleError("the image is damaged") from error


MAX_PIXELS = 64 * 2**20
"""Larger images are refused before they are unpacked."""


def read_image(path: object, *, formats: Sequence[str] | None = None) -> NDArray[np.uint8]:
    """Gives the (H, W, 3) RGB of an image file, turned as its EXIF says.

    Alpha is dropped, gray is spread over three channels, 16 bits are scaled to 8.

    Args:
        path: of the file, or an open one.
        formats: those that are tried, as Pillow calls them; None: all.

    Raises:
        OSError: not readable, or cut off.
        ValueError: more than `MAX_PIXELS`.
    """
    with Image.open(path, formats=formats) as image:  # type: ignore[arg-type]
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are more than allowed")
        image.load()
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I"):
            deep = np.asarray(turned, np.int64)
            gray = (deep >> 8 if deep.max(initial=0) > 255 else deep).clip(0, 255).astype(np.uint8)
            return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
        return np.array(turned.convert("RGB"), np.uint8)
