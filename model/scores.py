"""The network's logits for one image, before they are interpolated at its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icstream.model.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The logits of one image, and how its pixels lie among them."""

    values_Khw: NDArray[np.float32]
    """(K, h, w) logits at the score nodes, every 8 input pixels."""
    geometry: Geometry
    """How the image lies in the input that gave these scores."""

    def class_ids(self) -> NDArray[np.uint8]:
        """Return the (H, W) class ids of the image."""
        # Here and not above: the compiler behind it takes half a second that decoders need not pay.
        from icstream.model.upsample import class_ids

        return class_ids(self.values_Khw, *self.geometry.axes())
