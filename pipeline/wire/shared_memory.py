"""Memory that the processes of a run share, divided into slots.

It is an anonymous file (`memfd_create`): it has no name that could clash or be left behind, does
not
count towards the limits of `/dev/shm`, and is freed with the last process that uses it.
"""

import mmap
import os
from bisect import bisect
from typing import Any

from numpy.typing import NDArray

from icstream.pipeline.wire.messages import Pixels, WireError

PAGE = mmap.PAGESIZE
ALIGNMENT = 64
"""Alignment of arrays in a slot, in bytes: a cache line."""


def align(offset: int, step: int = ALIGNMENT) -> int:
    """Return the smallest multiple of `step` that is not below `offset`."""
    return -(-offset // step) * step


class Arena:
    """The shared memory in the owning process, with ranges in use and free ranges.

    A free range takes no memory, as its pages are returned to the system at once. Free neighbors
    are joined, and a range is cut to the requested size, so the file stays about as long as the
    most that was ever in use at once.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("icstream", os.MFD_CLOEXEC)
        self._size = 0
        self._free: list[tuple[int, int]] = []
        """Free ranges in ascending order, of which no two touch."""
        self._map: mmap.mmap | None = None
        """Map of the file, or of its beginning, through which pages are returned."""

    @staticmethod
    def available() -> bool:
        """Return whether the system has anonymous files."""
        return hasattr(os, "memfd_create")

    @property
    def num_bytes(self) -> int:
        """The number of bytes in use."""
        return self._size - sum(stop - start for start, stop in self._free)

    def take(self, num_bytes: int) -> tuple[int, int]:
        """Return a range of at least so many bytes, with its pages allocated."""
        needed = align(num_bytes, PAGE)
        place = next((p for p in self._free if p[1] - p[0] >= needed), None)
        start = self._size if place is None else place[0]
        # Otherwise, running out of memory would end a write with SIGBUS.
        os.posix_fallocate(self.fd, start, needed)
        if place is None:
            self._size += needed
        else:
            at = self._free.index(place)
            self._free[at : at + 1] = [(start + needed, place[1])] * (start + needed < place[1])
        return start, start + needed

    def give_back(self, place: tuple[int, int]) -> None:
        """Take back a range that is not used any more."""
        self._return_pages(place)
        start, stop = place
        at = bisect(self._free, place)
        if at < len(self._free) and self._free[at][0] == stop:
            stop = self._free.pop(at)[1]
        if at and self._free[at - 1][1] == start:
            at -= 1
            start = self._free.pop(at)[0]
        self._free.insert(at, (start, stop))

    def close(self) -> None:
        """Return the memory to the system, once all workers are gone."""
        if self._map is not None:
            self._map.close()
        os.close(self.fd)

    def _return_pages(self, place: tuple[int, int]) -> None:
        if self._map is None or len(self._map) < place[1]:
            if self._map is not None:
                self._map.close()
            self._map = mmap.mmap(self.fd, self._size)
        self._map.madvise(mmap.MADV_REMOVE, place[0], place[1] - place[0])


class ArenaView:
    """The shared memory in a worker."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map: mmap.mmap | None = None

    def array(self, pixels: Pixels) -> NDArray[Any]:
        """Return the array at a location, without copying."""
        assert pixels.offset is not None
        stop = pixels.offset + pixels.num_bytes
        if self._map is None or stop > len(self._map):
            size = os.fstat(self._fd).st_size
            if stop > size:
                raise WireError(f"an array up to byte {stop} of {size} bytes of shared memory")
            self._map = mmap.mmap(self._fd, size)
        return pixels.view(self._map, pixels.offset)
