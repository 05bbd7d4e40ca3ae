"""What every engine offers."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """Runs the deploy graph on one device with one precision."""

    def scores(self, rgb_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Gives (N, K, h, w) logits at every 8th pixel of inputs whose sides are 32k+1.

        The array belongs to the runtime and is overwritten by the next call. A size that was not
        seen lately costs a compilation.
        """
        ...
