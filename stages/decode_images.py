"""Image files as a stream."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from icstream.model import SourceError
from icstream.stages.books import Books
from icstream.stages.items import End, FormatChange, Frame, FrameMeta, Gap, Item
from icstream.stages.source import DEFAULT_RATE, SourceInfo
from icstream.stages.sources import SourceSpec

MAX_PIXELS = 64 * 2**20
"""Larger images are refused before they are unpacked."""


class ImageSource:
    """Images in the order of the spec; one that cannot be read costs a gap and no more."""

    def __init__(self, spec: SourceSpec, *, books: Books) -> None:
        """Looks for the first image that can be read.

        Raises:
            SourceError: none can.
        """
        self._spec = spec
        self._books = books
        size = next((size for size in map(_size_of, spec.paths) if size is not None), None)
        if size is None:
            raise SourceError(f"{spec.given}: none of its {len(spec.paths)} images can be read")
        self.info = SourceInfo("index", 1 / DEFAULT_RATE, len(spec.paths), size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Item]:
        """See `Source.__iter__`."""
        name, books = self._spec.name, self._books
        index, size = books.decoded, self.info.size
        for path, own_name in zip(self._spec.paths, _names(self._spec.paths), strict=True):
            books.packets += 1
            try:
                picture = read_image(path)
            except (OSError, ValueError, Image.DecompressionBombError):
                books.undecodable["unreadable image"] += 1
                yield Gap(name, index, None, f"unreadable image {path.name}")
                continue
            height, width = picture.shape[:2]
            if (height, width) != size:
                yield FormatChange(name, index, f"size {size[1]}x{size[0]} -> {width}x{height}")
                size = height, width
            books.decoded += 1
            books.in_flight += 1
            meta = FrameMeta(name, index, None, self.info.time_base, size, own_name)
            yield Frame(meta, picture)
            index += 1
        yield End(name)


def _names(paths: Sequence[Path]) -> Iterator[str]:
    """Gives a name for each file; a.jpg and a.png in one folder become a and a-2."""
    taken: set[str] = set()
    for path in paths:
        name, count = path.stem, 1
        while name in taken:
            count += 1
            name = f"{path.stem}-{count}"
        taken.add(name)
        yield name


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


def _size_of(path: object) -> tuple[int, int] | None:
    try:
        height, width, _ = read_image(path).shape
    except (OSError, ValueError, Image.DecompressionBombError, UnidentifiedImageError):
        return None
    return height, width
