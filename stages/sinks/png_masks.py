"""masks/NAME.png: an indexed PNG per frame."""

import errno
import logging
import os
import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from icstream.model import LabelSet
from icstream.model.files import sync_file, sync_folder, write_atomically
from icstream.stages.decode.file_kinds import VIDEO_SUFFIXES
from icstream.stages.items import FrameMeta, SegmentedFrame
from icstream.stages.names import image_name, is_named_after
from icstream.stages.sinks.parts import PartList
from icstream.stages.sinks.sink import Part

log = logging.getLogger(__name__)

_NAME_REFUSED = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""The errors of file systems for names that others allow."""
FOLDER = "masks"
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_NUM_SUSPECTED = 256
"""The number of recent files that are read completely; for others only the ends are checked."""
_SYNC_EVERY_S = 1.0
_COMPRESSION = 1
"""The zlib level, the fastest; higher ones take twice the time to save a tenth of the size."""


def write_png(ids_HW: NDArray[np.uint8], labels: LabelSet, target: Path | BinaryIO) -> None:
    """Write class ids as palette indices, in the label set's colors."""
    image = Image.fromarray(ids_HW)
    image.putpalette(labels.palette().tobytes())
    image.save(target, format="PNG", compress_level=_COMPRESSION)


def png_files(folder: Path, source_names: Collection[str]) -> Iterator[Path]:
    """Yield the files that `PngMasks` wrote for images with these names, or for a video."""
    images = [name for name in source_names if Path(name).suffix.lower() not in VIDEO_SUFFIXES]
    frames = {image_name(name) for name in images}
    for path in (folder / FOLDER).glob("*.png"):
        is_numbered = re.fullmatch(r"(frame-)?\d{6,}", path.stem)
        if is_numbered or is_named_after(path.stem, frames):
            yield path


class PngMasks:
    """A sink for class ids as palette indices, in the label set's colors."""

    wants_image = False
    num_held_back = 0

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        self._folder = folder / FOLDER
        self._labels = labels
        self._parts = PartList(FOLDER)
        self._not_synced: list[Path] = []
        self._synced_s = time.monotonic()

    @property
    def parts(self) -> list[Part]:
        """Implement `Sink.parts`."""
        return self._parts.all()

    def begin_part(self) -> None:
        """Implement `Sink.begin_part`; files of all parts are in the same folder."""
        self._parts.begin_part()

    def write(self, frame: SegmentedFrame) -> None:
        """Implement `Sink.write`; each file is written atomically."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{frame.meta.index:06}" if frame.meta.name is None else frame.meta.name
        try:
            self._write(name, frame.class_ids)
        except OSError as error:
            if error.errno not in _NAME_REFUSED:
                raise
            own = f"frame-{frame.meta.index:06}"
            log.warning("%s: the file system refuses the name; writing %s.png", name, own)
            self._write(own, frame.class_ids)
        self._parts.count(frame.meta)
        if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
            self._sync()

    def _sync(self) -> None:
        """Flush the written files, so that they survive a power failure."""
        for path in self._not_synced:
            sync_file(path)
        if self._not_synced:
            sync_folder(self._folder)
        self._not_synced.clear()
        self._synced_s = time.monotonic()

    def _write(self, name: str, class_ids: NDArray[np.uint8]) -> None:
        path = self._folder / f"{name}.png"
        write_atomically(
            path, lambda partial: write_png(class_ids, self._labels, partial), durable=False
        )
        self._not_synced.append(path)

    def restart_point(self, at_most: int) -> int:
        """Implement `Sink.restart_point`; a power failure may have damaged the last files."""
        paths = list(self._folder.glob("*.png"))
        numbered = [path for path in paths if path.stem.isdecimal()]
        if numbered:
            paths = sorted(numbered, key=lambda path: int(path.stem))
        else:  # images have their own names, and are written in order
            paths.sort(key=lambda path: path.stat().st_mtime_ns)
        suspected = len(paths) - _NUM_SUSPECTED
        for count, path in enumerate(paths[:at_most]):
            if not (_is_whole(path) if count >= suspected else _has_end(path)):
                log.warning("%s: damaged; writing masks again from there", path)
                return count
        return min(at_most, len(paths))

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Implement `Sink.skip`; files after the restart point are written again."""
        self._parts.count(first, num_frames)

    def close(self) -> None:
        """Implement `Sink.close`; no file is open between frames."""
        self._sync()


def _has_end(path: Path) -> bool:
    """Return whether a file begins and ends like a PNG (ISO/IEC 15948, 5.2 and 11.2.5)."""
    with path.open("rb") as file:
        begins = file.read(len(_PNG_BEGIN)) == _PNG_BEGIN
        end = file.seek(0, os.SEEK_END) - len(_PNG_END)
        file.seek(max(0, end))
        return begins and file.read() == _PNG_END


def _is_whole(path: Path) -> bool:
    """Return whether every chunk of a PNG has a valid checksum."""
    if not _has_end(path):
        return False
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError):  # Pillow's errors for damage
        return False
    return True
