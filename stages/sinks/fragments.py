"""Fragmented MP4 files, cut and continued between fragments.

A file is a header (ftyp, moov) and then pairs of moof and mdat boxes (ISO/IEC 14496-12, 8.8). Each
pair stands alone, so a file can be cut behind any of them, and what another muxer writes after its
own header can be put there.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Fragments:
    """Where the whole fragments of a file end, and how many samples each holds."""

    ends: list[int]
    samples: list[int]

    def count_within(self, num_samples: int) -> int:
        """Return how many fragments, from the first on, hold no more than so many samples."""
        total = 0
        for count, samples in enumerate(self.samples):
            total += samples
            if total > num_samples:
                return count
        return len(self.samples)


def read_fragments(path: Path) -> Fragments:
    """Return the whole fragments of a file, up to the first that was cut off."""
    ends: list[int] = []
    samples: list[int] = []
    pending: int | None = None
    with path.open("rb") as file:
        for kind, start, end in _boxes(file, 0, path.stat().st_size):
            if kind == b"moof":
                pending = _count_samples(file, start, end)
            elif kind == b"mdat" and pending is not None:
                ends.append(end)
                samples.append(pending)
                pending = None
    return Fragments(ends, samples)


def _boxes(file: IO[bytes], start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Return (kind, start of the content, end) of each whole box in a range of the file."""
    while start + 8 <= stop:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1 and start + 16 <= stop:
            size, header = struct.unpack(">Q", file.read(8))[0], 16
        if size < header or start + size > stop:
            return
        yield kind, start + header, start + size
        start += size


def _count_samples(file: IO[bytes], start: int, end: int) -> int:
    """Add up the sample counts of a moof's track runs (trun: 4 bytes of flags, then the count)."""
    total = 0
    for kind, inner, inner_end in list(_boxes(file, start, end)):
        if kind != b"traf":
            continue
        for leaf, place, _ in list(_boxes(file, inner, inner_end)):
            if leaf == b"trun":
                file.seek(place + 4)
                total += struct.unpack(">I", file.read(4))[0]
    return total


class FragmentAppender:
    """Takes what a muxer writes, and passes on all but its header."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._header: bytes | None = b""

    def write(self, data: bytes) -> int:
        """Write to the file, from the first moof box on."""
        if self._header is None:
            self._file.write(data)
            return len(data)
        self._header += bytes(data)
        while len(self._header) >= 8:
            size, kind = struct.unpack(">I4s", self._header[:8])
            if kind == b"moof":
                self._file.write(self._header)
                self._header = None
                break
            if len(self._header) < size:
                break
            self._header = self._header[size:]
        return len(data)

    def flush(self) -> None:
        """Flush what was written to the system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
