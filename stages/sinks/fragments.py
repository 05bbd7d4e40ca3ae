"""Fragmented MP4 files of one frame per fragment: written, searched, cut and continued.

A file is a header (ftyp, moov) and then pairs of moof and mdat boxes (ISO/IEC 14496-12, 8.8). Each
pair stands alone, so a file can be cut behind any of them, and what another muxer writes after its
own header can be put there. A moof holds its number in the file, from 1 (mfhd, 8.8.5), and the time
of its first sample in 64 bits (tfdt, 8.8.12). So with one sample per fragment the last fragment
says how many frames there are, and a file of any length is searched from its end.
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
"""Bytes before the end in which the last fragments are looked for first."""
_MAX_MOOF = 4096
"""Bytes of a moof; those of one sample have about a hundred."""
_MOOF_HEAD = struct.Struct(">I4sI4s4xI")
"""Size and kind of the moof; size and kind of the mfhd in it, its version and flags, its number."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A whole fragment of a file."""

    number: int
    """From 1; as many frames of the file end with it."""
    end: int
    """Bytes of the file up to and including it."""
    time: int
    """When its frame is shown, in units of the track."""


def last_fragment(path: Path, *, at_most: int | None = None) -> Fragment | None:
    """Return the last whole fragment of a file; None if it has none.

    Args:
        path: of a file that `FragmentFile` wrote, perhaps cut off anywhere.
        at_most: the highest number that counts; None: any.

    Raises:
        OSError: the file cannot be read.
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
    """Return the last fragment of those that begin behind a place; None if it is not known."""
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
        place = content.find(b"moof", place + 1)  # those letters stood in a frame
    return None


def _chain(content: mmap, start: int) -> Iterator[Fragment]:
    """Yield the fragments that follow one another from a place on, up to the first torn one."""
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
    place = content.find(b"tfdt", start, start + size)  # behind fields of a known size
    if place < 0 or place + 16 > len(content):
        return None
    (time,) = struct.unpack_from(">q", content, place + 8)  # version 1, as FFmpeg writes it
    return Fragment(number, mdat[1], time)


def _box_at(content: bytes | mmap, start: int) -> tuple[bytes, int] | None:
    """Return kind and end of a box; None if it is not whole."""
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
    """Cut a file behind its first frames, of which there is one at least; return the last one.

    Raises:
        OSError: the file cannot be cut, or holds fewer frames.
    """
    fragment = last_fragment(path, at_most=num_frames)
    if fragment is None or fragment.number != num_frames:
        raise OSError(errno.EIO, f"holds fewer than the {num_frames} frames written", str(path))
    os.truncate(path, fragment.end)
    return fragment


class FragmentFile:
    """The file that a muxer writes to; it grows by whole fragments only.

    A fragment is written as a box of the kind free, which readers pass over, and becomes a moof
    when all of it is there. So whoever reads the file, while it grows or after this process was
    killed, finds whole frames only.
    """

    def __init__(self, path: Path, *, continued: bool) -> None:
        """Open a new file, or one that was cut behind a fragment.

        Args:
            path: of the file.
            continued: the muxer's header is left out, as the file has one.

        Raises:
            OSError: it cannot be created or opened.
        """
        self._path = path
        self._file: BinaryIO = path.open("r+b" if continued else "wb", buffering=0)
        self._end = self._file.seek(0, os.SEEK_END)
        self._leaves_out_header = continued
        self._pending = b""

    def write(self, data: bytes) -> int:
        """Take what the muxer writes; nothing goes to the system before `commit`."""
        self._pending += data
        return len(data)

    def commit(self) -> None:
        """Write the whole boxes that the muxer has given.

        Raises:
            OSError: the disk is full, or gone; the file then ends with the fragment before.
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
        """Leave out the header of the muxer that follows."""
        self._leaves_out_header = True

    def close(self) -> None:
        """Commit and close the file, which then would survive a loss of power."""
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
