"""Memory that the processes of a run share, cut into slots.

It is an anonymous file (`memfd_create`): it has no name that could clash or be left behind, it is
not part of `/dev/shm` and so does not share its limits, and it is gone with the last process that
has it.
"""

import mmap
import os
from bisect import bisect
from typing import Any

from numpy.typing import NDArray

from icstream.pipeline.wire.messages import Pixels, WireError

PAGE = mmap.PAGESIZE
ALIGNMENT = 64
"""Of arrays in a slot, in bytes: a cache line."""


def align(offset: int, step: int = ALIGNMENT) -> int:
    """Return the next multiple of `step`."""
    return -(-offset // step) * step


class Arena:
    """The memory as its owner sees it: ranges that are in use, and free ones between them.

    A free range takes no memory: its pages are returned to the system at once. Neighbors are
    joined, and a range is cut to what is asked for, so that the file stays about as long as what
    was ever in use at once.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("icstream", os.MFD_CLOEXEC)
        self._size = 0
        self._free: list[tuple[int, int]] = []
        """In order; no two touch."""
        self._map: mmap.mmap | None = None
        """The file, or its beginning, through which pages are returned."""

    @staticmethod
    def available() -> bool:
        """Return whether the system has anonymous files."""
        return hasattr(os, "memfd_create")

    @property
    def num_bytes(self) -> int:
        """How many bytes are in use."""
        return self._size - sum(stop - start for start, stop in self._free)

    def take(self, num_bytes: int) -> tuple[int, int]:
        """Return a range of at least so many bytes; its pages are really there.

        Raises:
            OSError: there is not so much memory.
        """
        needed = align(num_bytes, PAGE)
        place = next((p for p in self._free if p[1] - p[0] >= needed), None)
        start = self._size if place is None else place[0]
        # Without this, a machine that runs out of memory would answer a write with SIGBUS.
        os.posix_fallocate(self.fd, start, needed)
        if place is None:
            self._size += needed
        else:
            at = self._free.index(place)
            self._free[at : at + 1] = [(start + needed, place[1])] * (start + needed < place[1])
        return start, start + needed

    def give_back(self, place: tuple[int, int]) -> None:
        """Take back a range that nobody uses any more."""
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
    """The memory as a worker sees it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map: mmap.mmap | None = None

    def array(self, pixels: Pixels) -> NDArray[Any]:
        """Return the array that lies there; nothing is copied.

        Raises:
            WireError: it would lie outside the memory.
        """
        assert pixels.offset is not None
        stop = pixels.offset + pixels.num_bytes
        if self._map is None or stop > len(self._map):
            size = os.fstat(self._fd).st_size
            if stop > size:
                raise WireError(f"an array up to byte {stop} of {size} bytes of shared memory")
            self._map = mmap.mmap(self._fd, size)
        return pixels.view(self._map, pixels.offset)
