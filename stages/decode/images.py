"""Image files as a stream."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from PIL import Image, UnidentifiedImageError

from icstream.model import SourceError
from icstream.stages.accounting import FrameAccounting
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.source import DEFAULT_RATE, SourceInfo
from icstream.stages.image_files import read_image
from icstream.stages.items import End, FormatChange, Frame, FrameMeta, Gap, Item, size_change


class ImageSource:
    """Images in the order of the spec; one that cannot be read costs a gap and no more."""

    def __init__(self, spec: SourceSpec, *, accounting: FrameAccounting) -> None:
        """Looks for the first image that can be read.

        Raises:
            SourceError: none can.
        """
        self._spec = spec
        self._books = accounting
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
        name, accounting = self._spec.name, self._books
        index, size = accounting.decoded, self.info.size
        for path, own_name in zip(self._spec.paths, _names(self._spec.paths), strict=True):
            accounting.packets += 1
            try:
                image = read_image(path)
            except (OSError, ValueError, Image.DecompressionBombError):
                accounting.undecodable["unreadable image"] += 1
                yield Gap(name, index, None, f"unreadable image {path.name}")
                continue
            height, width = image.shape[:2]
            if (height, width) != size:
                yield FormatChange(name, index, size_change(size, (height, width)))
                size = height, width
            accounting.decoded += 1
            accounting.in_flight += 1
            meta = FrameMeta(name, index, None, self.info.time_base, size, own_name)
            yield Frame(meta, image)
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


def _size_of(path: object) -> tuple[int, int] | None:
    try:
        height, width, _ = read_image(path).shape
    except (OSError, ValueError, Image.DecompressionBombError, UnidentifiedImageError):
        return None
    return height, width
