"""The preprocess stage: fits each picture to the network's input."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from icstream.model import Fit, StageError, prepare
from icstream.model.labels import Colour
from icstream.stages.items import Frame, Item, Prepared


class Preprocess:
    """Pads or resizes pictures; drops the original where nobody downstream wants it."""

    def __init__(
        self,
        *,
        fit: Fit,
        mean_colour: Colour,
        keep_picture: bool,
        empty: Callable[[tuple[int, ...], type[np.uint8]], NDArray[np.uint8]] = np.empty,
    ) -> None:
        """Settles what inputs look like.

        Args:
            fit: how pictures become inputs.
            mean_colour: what fills the input beside the picture.
            keep_picture: whether frames come out with their picture.
            empty: gives the memory for an input, told its shape and type.
        """
        self._geometry = lru_cache(maxsize=16)(fit.geometry)
        self._mean_colour = mean_colour
        self._keep_picture = keep_picture
        self._empty = empty

    def process(self, item: Item) -> Iterator[Item]:
        """See `Stage.process`."""
        if not isinstance(item, Frame):
            yield item
            return
        if item.picture is None:
            raise StageError("no picture", f"frame {item.meta.index} came without its picture")
        geometry = self._geometry(item.meta.size)
        rgb_hw3 = prepare(item.picture, geometry, self._mean_colour, self._empty)
        picture = item.picture if self._keep_picture else None
        yield replace(item, picture=picture, prepared=Prepared(rgb_hw3, geometry))

    def flush(self) -> Iterable[Item]:
        """See `Stage.flush`; nothing is held back."""
        return ()
