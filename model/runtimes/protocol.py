"""What every runtime offers."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """The deploy graph on one device in one precision."""

    max_sizes: int | None
    """How many sizes of inputs stay compiled, those used last; None: all."""

    def scores(self, rgb_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (N, K, h, w) logits at every 8th pixel of inputs whose sides are 32k+1.

        The array belongs to the runtime and is overwritten by the next call. A size that was not
        seen lately costs a compilation.
        """
        ...

    def forget(self, size: tuple[int, int]) -> None:
        """Let go of what was compiled for inputs of (height, width)."""
        ...
