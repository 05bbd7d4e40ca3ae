"""The one signature that every frame stage has."""

from collections.abc import Iterable
from typing import Protocol

from icstream.stages.items import Item


class Stage(Protocol):
    """Items in, items out; the same in a test, in one process and across hosts.

    A stage passes on, in order, what it does not handle (`Gap`, `FormatChange`, `End`). It raises
    `StageError` for a frame that it cannot process and stays usable.
    """

    def process(self, item: Item) -> Iterable[Item]:
        """Gives the items that are finished now that `item` has arrived; there may be none."""
        ...

    def flush(self) -> Iterable[Item]:
        """Gives what is still held back; called once, when no more items will come."""
        ...
