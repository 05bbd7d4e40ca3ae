"""The preprocess stage: fits each image to the network's input."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from icstream.model import Fit, StageError, prepare_input
from icstream.model.labels import Color
from icstream.model.network_input import fill_margin, image_fault
from icstream.model.planar import Empty
from icstream.stages.items import Frame, Item, Prepared


class Preprocess:
    """Pads or resizes images; drops the original where nobody downstream wants it."""

    def __init__(
        self,
        *,
        fit: Fit,
        mean_color: Color,
        keep_image: bool,
        empty: Empty = np.empty,
    ) -> None:
        """Settles what inputs look like.

        Args:
            fit: how images become inputs.
            mean_color: what fills the input beside the image.
            keep_image: whether frames come out with their image.
            empty: gives the memory for an input.
        """
        self._geometry = lru_cache(maxsize=16)(fit.geometry)
        self._mean_color = mean_color
        self._keep_image = keep_image
        self._empty = empty

    def process(self, item: Item) -> Iterator[Item]:
        """See `Stage.process`."""
        if not isinstance(item, Frame):
            yield item
            return
        if item.image is None:
            raise StageError("no picture", f"frame {item.meta.index} came without its image")
        fault = image_fault(item.image, item.meta.size)
        if fault:
            raise StageError("not a picture", f"frame {item.meta.index}: {fault}")
        done = self.in_place(item)
        if done is None:
            geometry = self._geometry(item.meta.size)
            rgb_hw3 = prepare_input(item.image, geometry, self._mean_color, self._empty)
            done = replace(item, prepared=Prepared(rgb_hw3, geometry))
        yield done if self._keep_image else replace(done, image=None, canvas=None)

    def in_place(self, frame: Frame) -> Frame | None:
        """Gives the frame prepared where it lies, for next to nothing; None if that cannot be."""
        geometry = self._geometry(frame.meta.size)
        canvas = frame.canvas
        if canvas is None or geometry.resized or canvas.shape[:2] != geometry.outer:
            return None
        if not canvas.flags.writeable:
            return None
        fill_margin(canvas, geometry, self._mean_color)
        return replace(frame, prepared=Prepared(canvas, geometry))

    def flush(self) -> Iterable[Item]:
        """See `Stage.flush`; nothing is held back."""
        return ()
