"""A source that is read repeatedly, for endurance tests and demonstrations."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

from icstream.stages.decode.source import Source
from icstream.stages.items import End, FormatChange, Frame, Item


class LoopedSource:
    """Repeated readings of one source, in which each but the first begins a new part."""

    def __init__(self, open_again: Callable[[], Source], *, num_loops: int) -> None:
        """Open the first reading.

        Args:
            open_again: A function that opens the source, with the same accounting for all readings.
            num_loops: The number of readings.

        Raises:
            SourceError: The source cannot be opened.
        """
        self._open_again = open_again
        self._num_loops = num_loops
        self._readings = ExitStack()
        """The exit stack that closes the current reading."""
        self._current = self._readings.enter_context(open_again())
        info = self._current.info
        promised = None if info.num_frames is None else info.num_frames * num_loops
        self.info = replace(info, num_frames=promised)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._readings.close()

    def __iter__(self) -> Iterator[Item]:
        """Implement `Source.__iter__`."""
        for loop in range(self._num_loops):
            if loop:
                self._readings.close()
                self._current = self._readings.enter_context(self._open_again())
            announced = loop == 0
            for item in self._current:
                if isinstance(item, End):
                    if loop == self._num_loops - 1:
                        yield item
                    break
                if not announced:
                    place = item.meta if isinstance(item, Frame) else item
                    yield FormatChange(place.stream, place.index, f"loop {loop + 1}")
                    announced = True
                yield _named_after(item, loop)


def _named_after(item: Item, loop: int) -> Item:
    """Return the item with a name that is unique to the reading."""
    if loop and isinstance(item, Frame) and item.meta.name is not None:
        return replace(item, meta=replace(item.meta, name=f"{item.meta.name}.loop{loop + 1}"))
    return item
