"""Image files and label images: measured before they are unpacked, then unpacked by one rule."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from icstream.model.errors import SampleError
from icstream.stages.input_files import naming, read_bytes
from icstream.stages.items import Size

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes of image files in lower case; files may have them in any."""
IMAGE_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""What files with those suffixes hold, as Pillow calls it; its JPEG takes in MPO."""
MAX_PIXELS = 64 * 2**20
"""Larger images, label images and frames are refused before memory is allocated for them."""

Decoder: TypeAlias = Literal["pillow", "opencv"]
"""The library that unpacks an image.

Both give the same bits for 8-bit JPEG, PNG, WebP, BMP and TIFF. They differ by a rounding in JPEGs
of four inks and 48-bit TIFFs, in TIFFs with alpha (which OpenCV multiplies into the colors), and in
16-bit gray without a value above 255, which Pillow's way leaves as it is. So each user names the
one that it always had: sources and `/segment` Pillow, data sets and annotation OpenCV.
"""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _INDEXED = 0, 3
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height (EXIF 2.32, table 4, tag Orientation)."""
# What Pillow's readers have been seen to raise on damaged files, beside its own errors.
_DAMAGED = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, NotImplementedError, RuntimeError, struct.error, zlib.error),
)


class UnknownImageError(SampleError):
    """The data is no image, or none in a format that may be used."""


class TooManyPixelsError(SampleError):
    """The image is larger than allowed."""


class PngHeader(NamedTuple):
    """What a PNG says of itself in its first chunk (PNG specification, section 11.2.2, IHDR)."""

    width: int
    height: int
    depth: int
    """Bits per channel or index."""
    color_type: int
    """0 gray, 2 RGB, 3 indexed, 4 gray and alpha, 6 RGB and alpha."""


def read_image(path: Path, *, decoder: Decoder) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB of an image file; see `unpack_image`.

    Raises:
        SampleError: missing, damaged, cut off, or more than `MAX_PIXELS`.
    """
    data = read_bytes(path)
    with naming(path):
        return unpack_image(data, decoder=decoder)


def unpack_image(
    data: bytes, *, decoder: Decoder, formats: tuple[str, ...] | None = None
) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB in the bytes of an image file, turned as its EXIF says.

    Alpha is dropped, gray is spread over three channels, 16 bits are scaled to 8.

    Args:
        data: content of the file.
        decoder: what unpacks it.
        formats: those that are allowed, as Pillow calls them; None allows all.

    Raises:
        SampleError: damaged, cut off, no image, or more than `MAX_PIXELS`.
    """
    with _opened(data, formats) as image:
        if decoder == "pillow":
            return _unpack_by_pillow(image)
    if data.startswith(_JPEG_START) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        raise SampleError("the image is cut off")  # OpenCV may fill it up with gray
    bgr_HW3 = unpack_by_opencv(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB), np.uint8)


def displayed_size(
    data: bytes, *, formats: tuple[str, ...] | None = None, max_pixels: int = MAX_PIXELS
) -> Size:
    """Return (height, width) of an image as it is displayed, from the file's header.

    Raises:
        UnknownImageError: no image in one of the formats.
        TooManyPixelsError: more pixels than allowed.
        SampleError: the header is damaged.
    """
    with _opened(data, formats, max_pixels) as image:
        width, height = image.size
        if isinstance(image, TiffImageFile):  # some versions of Pillow have turned `size` already
            width, height = (int(image.tag_v2[tag]) for tag in (IMAGEWIDTH, IMAGELENGTH))
        return (width, height) if _is_sideways(image) else (height, width)


def read_ids(path: Path) -> NDArray[np.uint8]:
    """Return the (H, W) pixel values of an 8-bit gray PNG, or the indices of an indexed one.

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
    """Return what the first chunk of a PNG says.

    Raises:
        SampleError: the data is no PNG.
    """
    if not data.startswith(_PNG_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise SampleError("no PNG")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return PngHeader(width, height, data[24], data[25])


def check_size(width: int, height: int, *, max_pixels: int = MAX_PIXELS) -> None:
    """Let sizes pass that may be allocated.

    Raises:
        TooManyPixelsError: more pixels than allowed.
    """
    if width * height > max_pixels:
        raise TooManyPixelsError(f"{width}x{height} pixels are more than the allowed {max_pixels}")


def unpack_by_opencv(data: bytes, flags: int) -> NDArray[Any]:
    """Return what `cv2.imdecode` does; the image's size must have been checked before.

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


@contextmanager
def _opened(
    data: bytes, formats: tuple[str, ...] | None, max_pixels: int = MAX_PIXELS
) -> Iterator[Image.Image]:
    """Open an image, check its size, and raise what goes wrong inside as a `SampleError`."""
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            check_size(image.width, image.height, max_pixels=max_pixels)
            yield image
    except UnidentifiedImageError as error:
        raise UnknownImageError("no image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(f"more pixels than the allowed {max_pixels}") from error
    except _DAMAGED as error:
        raise SampleError("the image is damaged or cut off") from error


def _unpack_by_pillow(image: Image.Image) -> NDArray[np.uint8]:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        deep = np.asarray(image, np.int64)
        gray = (deep >> 8 if deep.max(initial=0) > 255 else deep).clip(0, 255).astype(np.uint8)
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)


def _is_sideways(image: Image.Image) -> bool:
    if image.format == "PNG" and "exif" not in image.info:
        return False  # Pillow would unpack the image to look behind the pixels
    return image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
