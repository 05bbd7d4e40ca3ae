"""Reading of image files and label images, whose size is checked before they are decoded."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from icstream.model.errors import SampleError
from icstream.model.geometry import MAX_PIXELS, pixel_fault
from icstream.model.shown import escape
from icstream.stages.image_repair import PILLOW_ERRORS, repair_image
from icstream.stages.input_files import naming, read_bytes
from icstream.stages.items import Size

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
"""The suffixes of image files, in lower case; case is ignored."""
IMAGE_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""The formats of files with those suffixes, by Pillow's names; its JPEG includes MPO."""
READ_FORMATS = (*IMAGE_FORMATS, "AVIF", "GIF", "JPEG2000", "PPM")
"""All formats that are read, whatever the suffix; no other reader of Pillow is used."""

Decoder: TypeAlias = Literal["pillow", "opencv"]
"""The library that decodes an image.

Both return the same values for 8-bit JPEG, PNG, WebP, BMP and TIFF. They differ by a rounding in
CMYK JPEGs and 48-bit TIFFs, in TIFFs with alpha (which OpenCV multiplies into the colors), and in
16-bit gray without a value above 255, which Pillow does not scale. So that results never change,
sources and `/segment` use Pillow, data sets and annotation OpenCV.
"""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _INDEXED = 0, 3
_JPEG_START = b"\xff\xd8"
_SIDEWAYS = (5, 6, 7, 8)
"""The EXIF orientations that swap width and height (EXIF 2.32, table 4, tag Orientation)."""
_MAX_REASON = 120
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_T = TypeVar("_T")


class UnknownImageError(SampleError):
    """The data is not an image, or not in an allowed format."""


class TooManyPixelsError(SampleError):
    """The image has more pixels than allowed."""


class PngHeader(NamedTuple):
    """The first chunk of a PNG (PNG specification, section 11.2.2, IHDR)."""

    width: int
    height: int
    depth: int
    """The bits per channel or index."""
    color_type: int
    """The color type: 0 gray, 2 RGB, 3 indexed, 4 gray and alpha, 6 RGB and alpha."""


def read_image(path: Path, *, decoder: Decoder) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB of an image file, converted as by `unpack_image`.

    Raises:
        SampleError: The file is missing, damaged, truncated, or larger than `MAX_PIXELS`.
    """
    data = read_bytes(path)
    with naming(path):
        return unpack_image(data, decoder=decoder)


def unpack_image(
    data: bytes, *, decoder: Decoder, formats: tuple[str, ...] = READ_FORMATS
) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB in the bytes of an image file, rotated by its EXIF tag.

    Alpha is dropped, gray is repeated in three channels, 16 bits are scaled to 8. Of several images
    in one file the first is returned.

    Args:
        data: The content of the file.
        decoder: The library that decodes it.
        formats: The allowed formats, by Pillow's names.

    Raises:
        SampleError: The image is damaged, truncated, larger than `MAX_PIXELS`, or not an image.
    """
    return or_repaired(data, lambda file: _unpack(file, decoder, formats))


def _unpack(data: bytes, decoder: Decoder, formats: tuple[str, ...]) -> NDArray[np.uint8]:
    with open_image(data, formats) as image:
        check_jpeg(data)
        if decoder == "pillow":
            return unpack_by_pillow(image)
    bgr_HW3 = unpack_by_opencv(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB), np.uint8)


def displayed_size(
    data: bytes, *, formats: tuple[str, ...] = READ_FORMATS, max_pixels: int = MAX_PIXELS
) -> Size:
    """Return the displayed (height, width) of an image, from the file's header.

    Raises:
        UnknownImageError: The data is not an image in one of the formats.
        TooManyPixelsError: There are more pixels than allowed.
        SampleError: The header is damaged.
    """
    return or_repaired(data, lambda file: _size_in_header(file, formats, max_pixels))


def _size_in_header(data: bytes, formats: tuple[str, ...], max_pixels: int) -> Size:
    with open_image(data, formats, max_pixels) as image:
        width, height = image.size
        if isinstance(image, TiffImageFile):  # some versions of Pillow have already swapped `size`
            width, height = (int(image.tag_v2[tag]) for tag in (IMAGEWIDTH, IMAGELENGTH))
        return (width, height) if _is_sideways(image) else (height, width)


def read_ids(path: Path) -> NDArray[np.uint8]:
    """Return the (H, W) pixel values of an 8-bit gray PNG, or the indices of an indexed one.

    Raises:
        SampleError: The file is missing, damaged, of another kind, or larger than `MAX_PIXELS`.
    """
    data = read_bytes(path)
    with naming(path):
        header = png_header(data)
        check_size(header.width, header.height)
        if (header.color_type, header.depth) != (_GRAY, 8) and header.color_type != _INDEXED:
            raise SampleError("neither 8-bit gray nor indexed, as labels must be")
        return or_repaired(data, _png_values)


def _png_values(data: bytes) -> NDArray[np.uint8]:
    with open_image(data, ("PNG",)) as image:
        return np.array(image, np.uint8)


def check_jpeg(data: bytes) -> None:
    """Check that no part of a JPEG is missing, which decoders fill with gray; others pass.

    Raises:
        SampleError: Parts are missing.
    """
    if data.startswith(_JPEG_START):
        from icstream.stages.jpeg_scans import is_whole_jpeg  # here, as numba is slow to import

        if not is_whole_jpeg(data):
            raise SampleError("the image is damaged or cut off (parts of the JPEG are missing)")


def png_header(data: bytes) -> PngHeader:
    """Return the header of a PNG.

    Raises:
        SampleError: The data is not a PNG.
    """
    if not data.startswith(_PNG_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise SampleError("no PNG")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return PngHeader(width, height, data[24], data[25])


def check_size(width: int, height: int, *, max_pixels: int = MAX_PIXELS) -> None:
    """Check that an image's size is allowed, as `pixel_fault` counts it.

    Raises:
        TooManyPixelsError: There are more pixels than allowed.
    """
    fault = pixel_fault((height, width), max_pixels=max_pixels)
    if fault is not None:
        raise TooManyPixelsError(fault)


def unpack_by_opencv(data: bytes, flags: int) -> NDArray[Any]:
    """Return the result of `cv2.imdecode`; the size must have been checked before.

    Raises:
        SampleError: The image is damaged.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise SampleError("the image is damaged") from error
    if image is None:
        raise SampleError("the image is damaged or cut off")
    return np.asarray(image)


@contextmanager
def open_image(
    data: bytes, formats: tuple[str, ...] = READ_FORMATS, max_pixels: int = MAX_PIXELS
) -> Iterator[Image.Image]:
    """Open an image, check its size, and convert errors within the context to `SampleError`."""
    with as_sample_errors(max_pixels):
        try:
            image = Image.open(io.BytesIO(data), formats=formats)
        except UnidentifiedImageError as error:
            raise UnknownImageError(_why_unknown(data, formats)) from error
        with image:
            check_size(image.width, image.height, max_pixels=max_pixels)
            yield image


def _why_unknown(data: bytes, formats: tuple[str, ...]) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "HEIC images of several tiles cannot be read; convert it to JPEG, PNG or AVIF"
    return f"no image in one of the formats {', '.join(sorted(formats))}"


@contextmanager
def as_sample_errors(max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Convert the errors of Pillow's readers to `SampleError`, with their reason."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(f"more pixels than the allowed {max_pixels}") from error
    except PILLOW_ERRORS as error:
        reason = escape(str(error))[:_MAX_REASON]
        text = "the image is damaged or cut off"
        raise SampleError(f"{text} ({reason})" if reason else text) from error


def or_repaired(data: bytes, read: Callable[[bytes], _T]) -> _T:
    """Return the result of reading a file, or its repaired version if it is refused as damaged."""
    try:
        return read(data)
    except TooManyPixelsError:
        raise
    except SampleError:
        repaired = repair_image(data)
        if repaired is None:
            raise
        return read(repaired)


def unpack_by_pillow(image: Image.Image) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB of an open image, which may be modified."""
    image.load()
    with suppress(*PILLOW_ERRORS):  # damaged EXIF has no orientation
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        deep = np.asarray(image, np.int64)
        gray = (deep >> 8 if deep.max(initial=0) > 255 else deep).clip(0, 255).astype(np.uint8)
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)


def _is_sideways(image: Image.Image) -> bool:
    if image.format == "PNG" and "exif" not in image.info:
        return False  # Pillow would decode the image to read the data after the pixels
    return image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
