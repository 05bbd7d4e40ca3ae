"""Sets of mostly consecutive indices."""

from bisect import bisect
from collections.abc import Iterator


class IndexRanges:
    """A set of indices stored as ranges, whose size grows with the number of gaps."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        """Half-open ranges in ascending order, of which no two touch."""

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self._ranges)

    def __contains__(self, index: int) -> bool:
        return self.end(index) > index

    def add(self, index: int) -> None:
        """Add an index."""
        start, stop = index, index + 1
        at = self._after(index)
        if at and self._ranges[at - 1][1] >= start:
            at -= 1
            start, stop = self._ranges[at][0], max(stop, self._ranges.pop(at)[1])
        if at < len(self._ranges) and self._ranges[at][0] <= stop:
            stop = self._ranges.pop(at)[1]
        self._ranges.insert(at, (start, stop))

    def end(self, index: int) -> int:
        """Return the first index, starting at this one, that is not in the set."""
        at = self._after(index)
        return max(index, self._ranges[at - 1][1]) if at else index

    def missing(self, start: int, stop: int) -> Iterator[int]:
        """Yield the indices from `start` up to but excluding `stop` that are not in the set."""
        index = self.end(start)
        while index < stop:
            yield index
            index = self.end(index + 1)

    def remove_below(self, index: int) -> None:
        """Remove all smaller indices."""
        while self._ranges and self._ranges[0][0] < index:
            stop = self._ranges.pop(0)[1]
            if stop > index:
                self._ranges.insert(0, (index, stop))

    def _after(self, index: int) -> int:
        """Return the position of the first range that begins after the index."""
        return bisect(self._ranges, index, key=lambda found: found[0])
