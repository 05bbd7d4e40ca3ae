"""Image files as a stream."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from icstream.model import SourceError
from icstream.model.errors import SampleError
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.source import DEFAULT_RATE, SourceInfo
from icstream.stages.image_files import read_image
from icstream.stages.items import End, FormatChange, Frame, FrameMeta, Gap, Item, Size, size_change


class _Found(NamedTuple):
    path: Path
    image: NDArray[np.uint8]


class ImageSource:
    """Images in the order of the spec; one that cannot be read costs a gap and no more."""

    def __init__(self, spec: SourceSpec, *, accounting: FrameAccounting) -> None:
        """Look for the first image that can be read.

        Raises:
            SourceError: none can.
        """
        self._spec = spec
        self._accounting = accounting
        first = next(filter(None, map(_read, spec.paths)), None)
        if first is None:
            raise SourceError(f"{spec.given}: none of its {len(spec.paths)} images can be read")
        self.info = SourceInfo("index", 1 / DEFAULT_RATE, len(spec.paths), _size_of(first.image))
        self._first: _Found | None = first
        """The first image that can be read, until it is given away."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Item]:
        """See `Source.__iter__`."""
        name, accounting = self._spec.name, self._accounting
        index, last_size = accounting.decoded, self.info.size
        for path, own_name in zip(self._spec.paths, _names(self._spec.paths), strict=True):
            accounting.packets += 1
            image = self._image(path)
            if image is None:
                accounting.undecodable["unreadable image"] += 1
                yield Gap(name, index, None, f"unreadable image {path.name}")
                continue
            size = _size_of(image)
            if size != last_size:
                yield FormatChange(name, index, size_change(last_size, size))
                last_size = size
            accounting.decoded += 1
            accounting.in_flight += 1
            meta = FrameMeta(name, index, None, self.info.time_base, size, own_name)
            yield Frame(meta, image)
            index += 1
        yield End(name)

    def _image(self, path: Path) -> NDArray[np.uint8] | None:
        """Return the image of a file, from when the source was opened if it was read then."""
        kept = self._first
        if kept is not None and kept.path == path:
            self._first = None
            return kept.image
        found = _read(path)
        return None if found is None else found.image


def _names(paths: Sequence[Path]) -> Iterator[str]:
    """Return a name for each file; a.jpg and a.png in one folder become a and a-2."""
    taken: set[str] = set()
    for path in paths:
        name, count = path.stem, 1
        while name in taken:
            count += 1
            name = f"{path.stem}-{count}"
        taken.add(name)
        yield name


def _read(path: Path) -> _Found | None:
    try:
        return _Found(path, read_image(path, decoder="pillow"))
    except SampleError:
        return None


def _size_of(image: NDArray[np.uint8]) -> Size:
    return image.shape[0], image.shape[1]
