"""The preprocess stage, which fits each image to the network's input."""

from functools import lru_cache

import numpy as np

from icstream.model import Fit, StageError, prepare_input
from icstream.model.labels import Color
from icstream.model.network_input import fill_margin, image_fault
from icstream.model.planar import Empty
from icstream.stages.items import Frame, PreparedFrame


class Preprocess:
    """The stage that pads or resizes images."""

    def __init__(self, *, fit: Fit, mean_color: Color, empty: Empty = np.empty) -> None:
        """Set the form of inputs.

        Args:
            fit: The fit of images to the input.
            mean_color: The color that fills the input outside the image.
            empty: A function that returns the memory for an input.
        """
        self._geometry = lru_cache(maxsize=16)(fit.geometry)
        self._mean_color = mean_color
        self._empty = empty

    def process(self, frame: Frame) -> PreparedFrame:
        """Implement `FrameStage.process`."""
        meta, image = frame.meta, frame.image
        if image is None:
            raise StageError("no picture", f"frame {meta.index} has no image")
        fault = image_fault(image, meta.size)
        if fault:
            raise StageError("not a picture", f"frame {meta.index}: {fault}")
        done = self.prepare_in_place(frame)
        if done is not None:
            return done
        geometry = self._geometry(meta.size)
        network_input = prepare_input(image, geometry, self._mean_color, self._empty)
        return PreparedFrame(meta, image, network_input, geometry)

    def prepare_in_place(self, frame: Frame) -> PreparedFrame | None:
        """Return the frame prepared in place, without a copy; None if that is impossible."""
        geometry = self._geometry(frame.meta.size)
        canvas = frame.canvas
        if canvas is None or geometry.resized or canvas.shape[:2] != geometry.outer:
            return None
        if not canvas.flags.writeable:
            return None
        fill_margin(canvas, geometry, self._mean_color)
        return PreparedFrame(frame.meta, frame.image, canvas, geometry)
