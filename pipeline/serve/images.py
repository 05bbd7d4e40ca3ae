"""Images in requests: looked at before they are unpacked, then unpacked as in a run."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from icstream.pipeline.serve.errors import RefusedError
from icstream.stages.image_files import read_image

FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""As Pillow calls them."""
MEDIA_TYPES = ("image/bmp", "image/jpeg", "image/png", "image/tiff", "image/webp")

# What Pillow's readers have been seen to raise on damaged files, beside its own errors.
_DAMAGED = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, NotImplementedError, RuntimeError, struct.error, zlib.error),
)
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height (EXIF 2.32, table 4, tag Orientation)."""


def image_size(data: bytes, *, max_pixels: int) -> tuple[int, int]:
    """Gives (height, width) of the image as it is displayed, from the file's header.

    Raises:
        RefusedError: nothing there, no image that is known, damaged, or too many pixels.
    """
    if not data:
        raise RefusedError("bad_request", "the image is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            sideways = _is_sideways(image)
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise RefusedError("unsupported", f"not an image in one of the formats {known}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedError("too_many_pixels", f"more than {max_pixels} pixels") from None
    except _DAMAGED as error:
        raise RefusedError("unreadable", "the image is damaged") from error
    if width * height > max_pixels:
        raise RefusedError(
            "too_many_pixels", f"{width}x{height} pixels are more than the allowed {max_pixels}"
        )
    return (width, height) if sideways else (height, width)


def unpack(data: bytes) -> NDArray[np.uint8]:
    """Gives the (H, W, 3) RGB that `icstream run` would get from the same file.

    Raises:
        RefusedError: the image is damaged or cut off.
    """
    try:
        return read_image(io.BytesIO(data), formats=FORMATS)
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise RefusedError("unreadable", "the image is damaged or cut off") from error


def _is_sideways(image: Image.Image) -> bool:
    # For other formats Pillow would unpack the image to look for EXIF.
    if image.format in ("JPEG", "MPO", "TIFF", "WEBP"):
        return image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
    return False
