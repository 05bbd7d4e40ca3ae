"""The preprocess stage: fits each picture to the network's input."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from icstream.model import Fit, StageError, prepare
from icstream.model.labels import Colour
from icstream.stages.items import Frame, Item, Prepared


class Preprocess:
    """Pads or resizes pictures; drops the original where nobody downstream wants it."""

    def __init__(self, *, fit: Fit, mean_colour: Colour, keep_picture: bool) -> None:
        self._geometry = lru_cache(maxsize=16)(fit.geometry)
        self._mean_colour = mean_colour
        self._keep_picture = keep_picture

    def process(self, item: Item) -> Iterator[Item]:
        """See `Stage.process`."""
        if not isinstance(item, Frame):
            yield item
            return
        if item.picture is None:
            raise StageError("no picture", f"frame {item.meta.index} came without its picture")
        geometry = self._geometry(item.meta.size)
        prepared = Prepared(prepare(item.picture, geometry, self._mean_colour), geometry)
        picture = item.picture if self._keep_picture else None
        yield replace(item, picture=picture, prepared=prepared)

    def flush(self) -> Iterable[Item]:
        """See `Stage.flush`; nothing is held back."""
        return ()
