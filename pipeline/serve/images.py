"""Images in requests, whose size is checked before they are decoded as in a run."""

import numpy as np
from numpy.typing import NDArray

from icstream.model.errors import SampleError
from icstream.pipeline.serve.errors import RefusedError
from icstream.stages.image_files import (
    IMAGE_FORMATS,
    TooManyPixelsError,
    UnknownImageError,
    displayed_size,
    unpack_image,
)

MEDIA_TYPES = tuple(f"image/{name.lower()}" for name in IMAGE_FORMATS)


def image_size(data: bytes, *, max_pixels: int) -> tuple[int, int]:
    """Return the displayed (height, width) of an image, from the file's header.

    Raises:
        RefusedError: the data is empty, damaged, of an unknown format, or has too many pixels.
    """
    if not data:
        raise RefusedError("bad_request", "the image is empty")
    try:
        return displayed_size(data, formats=IMAGE_FORMATS, max_pixels=max_pixels)
    except UnknownImageError as error:
        known = ", ".join(IMAGE_FORMATS)
        raise RefusedError("unsupported", f"not an image in one of the formats {known}") from error
    except TooManyPixelsError as error:
        raise RefusedError("too_many_pixels", str(error)) from error
    except SampleError as error:
        raise RefusedError("unreadable", "the image is damaged") from error


def unpack(data: bytes) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB that `icstream run` would read from the same file.

    Raises:
        RefusedError: the image is damaged or truncated.
    """
    try:
        return unpack_image(data, decoder="pillow", formats=IMAGE_FORMATS)
    except SampleError as error:
        raise RefusedError("unreadable", "the image is damaged or truncated") from error
