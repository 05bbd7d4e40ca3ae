"""The preprocess stage: fits each picture to the network's input."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from icstream.model import Fit, StageError, prepare
from icstream.model.labels import Colour
from icstream.model.planar import Empty
from icstream.model.prepare import fill_margin, picture_fault
from icstream.stages.items import Frame, Item, Prepared


class Preprocess:
    """Pads or resizes pictures; drops the original where nobody downstream wants it."""

    def __init__(
        self,
        *,
        fit: Fit,
        mean_colour: Colour,
        keep_picture: bool,
        empty: Empty = np.empty,
    ) -> None:
        """Settles what inputs look like.

        Args:
            fit: how pictures become inputs.
            mean_colour: what fills the input beside the picture.
            keep_picture: whether frames come out with their picture.
            empty: gives the memory for an input.
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
        fault = picture_fault(item.picture, item.meta.size)
        if fault:
            raise StageError("not a picture", f"frame {item.meta.index}: {fault}")
        done = self.in_place(item)
        if done is None:
            geometry = self._geometry(item.meta.size)
            rgb_hw3 = prepare(item.picture, geometry, self._mean_colour, self._empty)
            done = replace(item, prepared=Prepared(rgb_hw3, geometry))
        yield done if self._keep_picture else replace(done, picture=None, canvas=None)

    def in_place(self, frame: Frame) -> Frame | None:
        """Gives the frame prepared where it lies, for next to nothing; None if that cannot be."""
        geometry = self._geometry(frame.meta.size)
        canvas = frame.canvas
        if canvas is None or geometry.resized or canvas.shape[:2] != geometry.outer:
            return None
        if not canvas.flags.writeable:
            return None
        fill_margin(canvas, geometry, self._mean_colour)
        return replace(frame, prepared=Prepared(canvas, geometry))

    def flush(self) -> Iterable[Item]:
        """See `Stage.flush`; nothing is held back."""
        return ()
