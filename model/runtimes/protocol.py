"""The interface of runtimes."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """The deploy graph on one device in one precision."""

    max_sizes: int | None
    """The number of most recently used input sizes that stay compiled; None: all."""

    def scores(self, rgb_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (N, K, h, w) logits at every 8th pixel of inputs whose sides are 32k+1.

        The array belongs to the runtime and is overwritten by the next call. A size that was not
        used recently is compiled first.
        """
        ...

    def forget(self, size: tuple[int, int]) -> None:
        """Release what was compiled for inputs of (height, width)."""
        ...
