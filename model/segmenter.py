"""The network as a function: a picture in, the class of every pixel out."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from icstream.model.checkpoint import Checkpoint
from icstream.model.errors import ConfigError
from icstream.model.geometry import Fit, Geometry
from icstream.model.labels import Colour
from icstream.model.prepare import prepare
from icstream.model.runtimes import Precision, RuntimeName, choose, open_runtime
from icstream.model.scores import Scores


class Segmenter:
    """Padding, normalising, the network, upsampling and argmax behind one call.

    Attributes:
        labels: the classes whose ids come out.
        choice: the runtime, device, precision and threads in use.
        fit: how pictures become inputs.
        mean_colour: what fills the input beside the picture.
        digest: SHA-256 of the weights and what belongs to them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        runtime: RuntimeName = "auto",
        device: str = "auto",
        precision: Precision = "auto",
        threads: int = 2,
        fit: Fit | None = None,
    ) -> None:
        """Loads the weights into an engine.

        Args:
            checkpoint: weights and what belongs to them.
            runtime: what computes; auto is OpenVINO on a CPU, PyTorch on a GPU.
            device: auto, cpu, cuda or cuda:N.
            precision: auto is the fastest that the checkpoint was measured to stand, else fp32.
            threads: of inference on a CPU.
            fit: how pictures become inputs; None: as the checkpoint was trained.

        Raises:
            ConfigError: a runtime, device or precision that this machine cannot offer.
        """
        self.labels = checkpoint.labels
        self.fit = fit or checkpoint.fit
        self.choice = choose(
            checkpoint, runtime=runtime, device=device, precision=precision, threads=threads
        )
        self.mean_colour = mean_colour(checkpoint)
        self.digest = checkpoint.digest()
        self._runtime = open_runtime(checkpoint, self.choice)
        self._geometry = lru_cache(maxsize=16)(self.fit.geometry)

    def __call__(self, picture_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Gives the (H, W) class ids of an RGB picture of any size.

        Raises:
            ConfigError: not an (H, W, 3) uint8 array.
        """
        if picture_HW3.ndim != 3 or picture_HW3.shape[2] != 3 or picture_HW3.dtype != np.uint8:
            raise ConfigError(
                "a picture is an (H, W, 3) uint8 array in RGB order,"
                f" got {picture_HW3.shape} {picture_HW3.dtype}"
            )
        geometry = self._geometry((picture_HW3.shape[0], picture_HW3.shape[1]))
        return self.scores(prepare(picture_HW3, geometry, self.mean_colour), geometry).class_ids()

    def scores(self, prepared_hw3: NDArray[np.uint8], geometry: Geometry) -> Scores:
        """Gives the scores of an input that `prepare` made; valid until the next call."""
        return Scores(self._runtime.scores(prepared_hw3[None])[0], geometry)

    def warm_up(self, source: tuple[int, int]) -> None:
        """Compiles for pictures of (height, width), so that the first one costs no more."""
        self.scores(np.zeros((*self._geometry(source).outer, 3), np.uint8), self._geometry(source))


def mean_colour(checkpoint: Checkpoint) -> Colour:
    """Gives the model's mean as the nearest 8-bit colour."""
    red, green, blue = (round(value) for value in checkpoint.preprocessing.mean_rgb)
    return red, green, blue
