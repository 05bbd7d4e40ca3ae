"""Reading of several images in one file: pages of a TIFF, frames of an animated PNG or WebP."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.MpoImagePlugin import MpoImageFile
from PIL.TiffImagePlugin import TiffImageFile

from icstream.model.errors import SampleError
from icstream.stages.image_files import (
    as_sample_errors,
    check_jpeg,
    check_size,
    open_image,
    or_repaired,
    unpack_by_pillow,
)

MAX_PAGES = 10_000
"""Most images of one file: a header of 20 bytes may state 2^31, and a list of pages may be long."""
_MPO_ENTRIES = 0xB002
_TIFF_SUBFILE_TYPE = 254
_REDUCED, _MASK = 1, 4
"""The bits of the tag NewSubfileType (TIFF 6.0, section 8) for a reduced version of another page,
and for a transparency mask."""


def count_pages(data: bytes) -> int:
    """Return the number of images in a file, without previews and reduced versions.

    Raises:
        SampleError: The images cannot be counted.
    """
    with warnings.catch_warnings(), open_image(_openable(data)) as image:
        # Pillow ends the list of pages there, but counts those before.
        warnings.filterwarnings("error", message="Corrupt EXIF data|Truncated File Read")
        return len(list(_numbers(image)))


def open_further_pages(data: bytes) -> Iterator[Callable[[], NDArray[np.uint8]]]:
    """Yield a function for each image in a file but the first, to be called before the next.

    The function returns (H, W, 3) RGB, as `unpack_image` does, or raises `SampleError`.

    Raises:
        SampleError: The file cannot be opened.
    """
    data = _openable(data)
    with open_image(data) as image:
        for number in list(_numbers(image))[1:]:
            yield partial(_unpack_page, image, number, data)


@as_sample_errors()
def _unpack_page(image: Image.Image, number: int, data: bytes) -> NDArray[np.uint8]:
    image.seek(number)
    check_size(image.width, image.height)
    if isinstance(image, MpoImageFile):
        check_jpeg(data[image.offset :])
    return unpack_by_pillow(image.copy())


def _openable(data: bytes) -> bytes:
    """Return the file, or its repaired version if only that can be opened."""

    def opened(file: bytes) -> bytes:
        with open_image(file):
            return file

    return or_repaired(data, opened)


def _numbers(image: Image.Image) -> Iterator[int]:
    """Yield the number of each image that counts; the file's own word for how many is no proof."""
    yield 0
    for number in count(1):
        if isinstance(image, TiffImageFile):
            try:
                image.seek(number)
            except EOFError:
                return
        elif number >= getattr(image, "n_frames", 1):
            return
        if number >= MAX_PAGES:
            raise SampleError(f"more images than the allowed {MAX_PAGES}")
        if not _is_smaller_version(image, number):
            yield number


def _is_smaller_version(image: Image.Image, number: int) -> bool:
    """Return whether an image belongs to another one; a TIFF is at that image already."""
    if isinstance(image, TiffImageFile):
        return bool(image.tag_v2.get(_TIFF_SUBFILE_TYPE, 0) & (_REDUCED | _MASK))
    if isinstance(image, MpoImageFile) and image.mpinfo is not None:
        kind: str = image.mpinfo[_MPO_ENTRIES][number]["Attribute"]["MPType"]
        return kind.startswith("Large Thumbnail")
    return False
