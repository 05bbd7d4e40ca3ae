"""Memory that the processes of a run share, cut into slots.

It is an anonymous file (`memfd_create`): it has no name that could clash or be left behind, it is
not part of `/dev/shm` and so does not share its limits, and it is gone with the last process that
has it.
"""

import mmap
import os
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
    """The memory as its owner sees it: a pool of ranges."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("icstream", os.MFD_CLOEXEC)
        self._size = 0
        self._free: list[tuple[int, int]] = []

    @staticmethod
    def available() -> bool:
        """Return whether the system has anonymous files."""
        return hasattr(os, "memfd_create")

    @property
    def num_bytes(self) -> int:
        """How many bytes were ever in use at once."""
        return self._size

    def take(self, num_bytes: int) -> tuple[int, int]:
        """Return a range of at least so many bytes; its pages are really there.

        Raises:
            OSError: there is not so much memory.
        """
        needed = align(num_bytes, PAGE)
        fitting = [place for place in self._free if place[1] - place[0] >= needed]
        if fitting:
            place = min(fitting, key=lambda place: place[1] - place[0])
            self._free.remove(place)
            return place
        # Without this, a machine that runs out of memory would answer a write with SIGBUS.
        os.posix_fallocate(self.fd, self._size, needed)
        start, self._size = self._size, self._size + needed
        return start, self._size

    def give_back(self, place: tuple[int, int]) -> None:
        """Take back a range that nobody uses any more."""
        self._free.append(place)

    def close(self) -> None:
        """Return the memory to the system, once all workers are gone."""
        os.close(self.fd)


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
