"""Image files as a stream."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from icstream.model import SourceError
from icstream.model.errors import SampleError
from icstream.model.shown import escape
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.left_out import REASON, LeftOut, LeftOutPackets
from icstream.stages.decode.source import DEFAULT_RATE, SourceInfo
from icstream.stages.image_files import unpack_image
from icstream.stages.image_pages import count_pages, open_further_pages
from icstream.stages.input_files import read_bytes
from icstream.stages.items import End, FormatChange, Frame, FrameMeta, Gap, Item, Size, size_change
from icstream.stages.names import MAX_FRAME_NAME_BYTES, image_name, page_name, unique_name

log = logging.getLogger(__name__)

_MAX_LOGGED = 10
"""The number of unreadable images that are logged; further ones are only in the report."""
_PAGES_LEFT_OUT = "further images in files that hold several; images.pages: all reads them"


class ImageSource:
    """A source of images in the order of the spec, in which an unreadable image leaves a gap."""

    def __init__(
        self, spec: SourceSpec, *, accounting: FrameAccounting, left_out: Sequence[LeftOut] = ()
    ) -> None:
        """Find the first readable image.

        Args:
            spec: The spec of the stream.
            accounting: The counters of the stream, which continue those of an earlier reading.
            left_out: The images that are not read.

        Raises:
            SourceError: None of the images can be read.
        """
        self._spec = spec
        self._accounting = accounting
        self._left_out = LeftOutPackets(left_out)
        self._first: _ImageFile | None = _find_first(spec)
        """The first readable file, until it is used."""
        promised = len(spec.paths) if spec.pages == "first" else None
        size = _size_of(self._first.unpack())
        self.info = SourceInfo("index", 1 / DEFAULT_RATE, promised, size)
        self._taken_names: set[str] = set()
        self._num_unreadable = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Item]:
        """Implement `Source.__iter__`."""
        name, accounting = self._spec.name, self._accounting
        index, last_size = accounting.decoded, self.info.size
        for place in self._places():
            accounting.packets += 1
            if self._left_out.cover(accounting.packets, is_key=True):
                accounting.undecodable[REASON] += 1
                yield Gap(name, index, None, REASON)
                continue
            try:
                image = place.unpack()
            except SampleError as error:
                yield self._lose(index, place, error)
                continue
            size = _size_of(image)
            if size != last_size:
                yield FormatChange(name, index, size_change(last_size, size))
                last_size = size
            accounting.decoded += 1
            accounting.in_flight += 1
            meta = FrameMeta(name, index, None, self.info.time_base, size, place.name)
            yield Frame(meta, image)
            index += 1
        yield End(name)

    def _lose(self, index: int, place: "_Place", error: SampleError) -> Gap:
        reason = f"unreadable image {place.shown}: {escape(str(error))}"
        self._accounting.undecodable["unreadable image"] += 1
        self._num_unreadable += 1
        if self._num_unreadable <= _MAX_LOGGED:
            more = "; further ones are in the report" * (self._num_unreadable == _MAX_LOGGED)
            log.warning("%s: %s%s", self._spec.name, reason, more)
        return Gap(self._spec.name, index, None, reason)

    def _places(self) -> Iterator["_Place"]:
        for path in self._spec.paths:
            file = self._file(path)
            name = self._name(image_name(path.name))
            yield _Place(name, escape(path.name), file.unpack)
            try:
                if self._spec.pages == "all":
                    yield from self._further_places(file, name)
                elif num_further := file.count_further():
                    self._accounting.left_out[_PAGES_LEFT_OUT] += num_further
            except SampleError as error:
                yield _Place("", f"{escape(path.name)}, further pages", _raiser(error))

    def _further_places(self, file: "_ImageFile", name: str) -> Iterator["_Place"]:
        if not file.count_further():
            return
        for number, unpack in enumerate(open_further_pages(read_bytes(file.path)), start=2):
            shown = f"{escape(file.path.name)}, page {number}"
            yield _Place(self._name(page_name(name, number)), shown, unpack)

    def _file(self, path: Path) -> "_ImageFile":
        """Return a file, reusing the one that was read when the source was opened."""
        first = self._first
        if first is None or first.path != path:
            return _ImageFile(path)
        self._first = None
        return first

    def _name(self, name: str) -> str:
        """Return a unique name for a frame; a.jpg and a.png in one folder become a and a-2."""
        return unique_name(
            name, self._taken_names, ignore_case=False, max_bytes=MAX_FRAME_NAME_BYTES
        )


class _Place(NamedTuple):
    """The place of an image in the stream, before it is decoded."""

    name: str
    shown: str
    """The image's name in errors."""
    unpack: Callable[[], NDArray[np.uint8]]
    """The function that decodes the image, or raises `SampleError`."""


class _ImageFile:
    """A file, which is read when its first image is requested."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._image: NDArray[np.uint8] | None = None
        self._num_further: int | SampleError = 0

    def unpack(self) -> NDArray[np.uint8]:
        """Return the first image.

        Raises:
            SampleError: The image is unreadable.
        """
        if self._image is None:
            data = read_bytes(self.path)
            self._image = unpack_image(data, decoder="pillow")
            try:
                self._num_further = count_pages(data) - 1
            except SampleError as error:
                self._num_further = error
        return self._image

    def count_further(self) -> int:
        """Return the number of further images in the file; 0 if the first was not decoded.

        Raises:
            SampleError: The images cannot be counted.
        """
        if isinstance(self._num_further, SampleError):
            raise self._num_further
        return self._num_further


def _find_first(spec: SourceSpec) -> _ImageFile:
    reason = ""
    for path in spec.paths:
        file = _ImageFile(path)
        try:
            file.unpack()
        except SampleError as error:
            reason = reason or f" ({escape(path.name)}: {escape(str(error))})"
        else:
            return file
    raise SourceError(f"{spec.given}: none of its {len(spec.paths)} images can be read{reason}")


def _raiser(error: SampleError) -> Callable[[], NDArray[np.uint8]]:
    def unpack() -> NDArray[np.uint8]:
        raise error

    return unpack


def _size_of(image: NDArray[np.uint8]) -> Size:
    return image.shape[0], image.shape[1]
