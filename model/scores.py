"""The network's logits for one image, before interpolation at its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icstream.model.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The logits of one image, and the geometry of its pixels."""

    values_Khw: NDArray[np.float32]
    """The (K, h, w) logits at the nodes, every 8 input pixels."""
    geometry: Geometry
    """The placement of the image in the network's input."""

    def class_ids(self) -> NDArray[np.uint8]:
        """Return the (H, W) class ids of the image."""
        # Imported here, as its compiler takes half a second, which decoders do not need.
        from icstream.model.upsample import class_ids

        return class_ids(self.values_Khw, *self.geometry.axes())
