"""Writing, searching, truncating and continuing of MP4 files with one frame per fragment.

A file is a header (ftyp, moov) followed by pairs of moof and mdat boxes (ISO/IEC 14496-12, 8.8).
Each pair is independent, so a file can be truncated after any of them, and continued by another
muxer whose header is left out. A moof holds its number in the file, from 1 (mfhd, 8.8.5), and the
time of its first sample in 64 bits (tfdt, 8.8.12). With one sample per fragment, the number of the
last fragment is that of the frames, so that only the end of a file needs to be searched.
"""

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from icstream.model.files import sync_folder

_WINDOW = 1 << 20
"""The bytes before the end that are searched first."""
_MAX_MOOF = 4096
"""The largest size of a moof, in bytes; one with one sample has about a hundred."""
_MOOF_HEAD = struct.Struct(">I4sI4s4xI")
"""The size and type of the moof; the size, type, version and flags, and number of its mfhd."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A complete fragment of a file."""

    number: int
    """The number of the fragment, from 1, which is that of the frames up to and including it."""
    end: int
    """The end of the fragment in the file, in bytes."""
    time: int
    """The presentation time of its frame, in units of the track."""


def last_fragment(path: Path, *, at_most: int | None = None) -> Fragment | None:
    """Return the last complete fragment of a file, or None.

    Args:
        path: The path of a file that `FragmentFile` wrote, possibly truncated.
        at_most: The highest number that counts; None: any.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return None
        with mmap(file.fileno(), size, access=ACCESS_READ) as content:
            window = _WINDOW
            while (found := _last_behind(content, size - window, at_most)) is None:
                if window >= size:
                    return None
                window *= 4
    return found


def _last_behind(content: mmap, start: int, at_most: int | None) -> Fragment | None:
    """Return the last fragment that begins after an offset, or None if it cannot be determined."""
    place = content.find(b"moof", max(0, start))
    while place >= 0:
        last = None
        for fragment in _chain(content, place - 4):
            if at_most is not None and fragment.number > at_most:
                return last
            if last is not None and fragment.number != last.number + 1:
                break
            last = fragment
        else:
            if last is not None:
                return last
        place = content.find(b"moof", place + 1)  # the letters were part of a frame
    return None


def _chain(content: mmap, start: int) -> Iterator[Fragment]:
    """Yield the consecutive fragments from an offset on, up to the first incomplete one."""
    while (fragment := _fragment_at(content, start)) is not None:
        yield fragment
        start = fragment.end


def _fragment_at(content: mmap, start: int) -> Fragment | None:
    if start < 0 or start + _MOOF_HEAD.size > len(content):
        return None
    size, kind, inner_size, inner, number = _MOOF_HEAD.unpack_from(content, start)
    if (kind, inner, inner_size) != (b"moof", b"mfhd", 16) or size > _MAX_MOOF:
        return None
    mdat = _box_at(content, start + size)
    if mdat is None or mdat[0] != b"mdat":
        return None
    place = content.find(b"tfdt", start, start + size)  # after fields of known size
    if place < 0 or place + 16 > len(content):
        return None
    (time,) = struct.unpack_from(">q", content, place + 8)  # version 1, as FFmpeg writes it
    return Fragment(number, mdat[1], time)


def _box_at(content: bytes | mmap, start: int) -> tuple[bytes, int] | None:
    """Return the type and end of a box, or None if it is incomplete."""
    if start + 8 > len(content):
        return None
    size, kind = struct.unpack_from(">I4s", content, start)
    header = 8
    if size == 1 and start + 16 <= len(content):
        (size,), header = struct.unpack_from(">Q", content, start + 8), 16
    if size < header or start + size > len(content):
        return None
    return kind, start + size


def cut_back(path: Path, num_frames: int) -> Fragment:
    """Truncate a file after its first frames, at least one, and return the last fragment.

    Raises:
        OSError: The file cannot be truncated, or holds fewer frames.
    """
    fragment = last_fragment(path, at_most=num_frames)
    if fragment is None or fragment.number != num_frames:
        raise OSError(errno.EIO, f"holds fewer than the {num_frames} frames written", str(path))
    os.truncate(path, fragment.end)
    return fragment


class FragmentFile:
    """A file for a muxer's output, which grows only by complete fragments.

    A fragment is written as a box of type free, which readers skip, and becomes a moof once it is
    complete. Thus readers find only complete frames, even while the file grows or after this
    process was killed.
    """

    def __init__(self, path: Path, *, continued: bool) -> None:
        """Open a new file, or one that was truncated after a fragment.

        Args:
            path: The path of the file.
            continued: Whether to leave out the muxer's header, as the file has one.

        Raises:
            OSError: The file cannot be created or opened.
        """
        self._path = path
        self._file: BinaryIO = path.open("r+b" if continued else "wb", buffering=0)
        self._end = self._file.seek(0, os.SEEK_END)
        self._leaves_out_header = continued
        self._pending = b""

    def write(self, data: bytes) -> int:
        """Buffer the muxer's output, which `commit` writes."""
        self._pending += data
        return len(data)

    def commit(self) -> None:
        """Write the complete boxes of the muxer's output.

        Raises:
            OSError: The disk is full or lost; the file then ends with the previous fragment.
        """
        while (box := _box_at(self._pending, 0)) is not None:
            kind, end = box
            if kind == b"moof":
                mdat = _box_at(self._pending, end)
                if mdat is None:
                    return
                end = mdat[1]
                self._append(self._pending[:end])
                self._leaves_out_header = False
            elif not self._leaves_out_header:
                self._append(self._pending[:end])
            self._pending = self._pending[end:]

    def continue_behind(self) -> None:
        """Leave out the header of the next muxer."""
        self._leaves_out_header = True

    def close(self) -> None:
        """Commit and close the file, which then survives a power failure."""
        try:
            self.commit()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()
        sync_folder(self._path.parent)

    def _append(self, boxes: bytes) -> None:
        is_fragment = boxes[4:8] == b"moof"
        shown = boxes[:4] + b"free" + boxes[8:] if is_fragment else boxes
        try:
            self._write_all(shown)
            if is_fragment:
                os.pwrite(self._file.fileno(), b"moof", self._end + 4)
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._end)
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._end += len(boxes)

    def _write_all(self, data: bytes) -> None:
        written = 0
        while written < len(data):
            written += os.pwrite(self._file.fileno(), data[written:], self._end + written)
