"""The network as a function: an image in, the class of every pixel out."""

from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from icstream.model.checkpoint import Checkpoint
from icstream.model.errors import ConfigError
from icstream.model.geometry import Fit, Geometry
from icstream.model.labels import Color
from icstream.model.network_input import prepare_input
from icstream.model.runtimes import (
    Precision,
    RuntimeChoice,
    RuntimeName,
    open_runtime,
    select_runtime,
)
from icstream.model.scores import Scores
from icstream.model.settings_base import DEFAULT_THREADS


class Segmenter:
    """Padding, normalizing, the network, upsampling and argmax behind one call.

    Attributes:
        labels: the classes whose ids come out.
        choice: the runtime, device, precision and threads in use.
        fit: how images become inputs.
        mean_color: what fills the input beside the image.
        digest: SHA-256 of the weights and what belongs to them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        runtime: RuntimeName = "auto",
        device: str = "auto",
        precision: Precision = "auto",
        threads: int = DEFAULT_THREADS,
        fit: Fit | None = None,
    ) -> None:
        """Load the weights into a runtime.

        Args:
            checkpoint: weights and what belongs to them.
            runtime: what computes; auto is OpenVINO on a CPU, PyTorch on a GPU.
            device: auto, cpu, cuda or cuda:N.
            precision: auto is the fastest that was measured to do for the checkpoint, else fp32.
            threads: of inference on a CPU; with the runtime torch, of the whole process.
            fit: how images become inputs; None: as the checkpoint was trained.

        Raises:
            ConfigError: a runtime, device or precision that this machine cannot offer.
        """
        self.labels = checkpoint.labels
        self.fit = fit or checkpoint.fit
        self.choice = select_runtime(
            checkpoint, runtime=runtime, device=device, precision=precision, threads=threads
        )
        self.mean_color = mean_color(checkpoint)
        self.digest = checkpoint.digest()
        self._runtime = open_runtime(checkpoint, self.choice)
        self._geometry = lru_cache(maxsize=16)(self.fit.geometry)

    @classmethod
    def from_choice(
        cls, checkpoint: Checkpoint, choice: RuntimeChoice, *, fit: Fit | None = None
    ) -> Self:
        """Return a segmenter that runs as `select_runtime` chose.

        Args:
            checkpoint: weights and what belongs to them.
            choice: the runtime, device, precision and threads.
            fit: how images become inputs; None: as the checkpoint was trained.

        Raises:
            ConfigError: this machine cannot offer what was chosen, perhaps on another one.
        """
        return cls(
            checkpoint,
            runtime=choice.runtime,
            device=choice.device,
            precision=choice.precision,
            threads=choice.threads,
            fit=fit,
        )

    def __call__(self, image_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the (H, W) class ids of an RGB image of any size.

        Raises:
            ConfigError: not an (H, W, 3) uint8 array.
        """
        if image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.dtype != np.uint8:
            raise ConfigError(
                "an image is an (H, W, 3) uint8 array in RGB order,"
                f" got {image_HW3.shape} {image_HW3.dtype}"
            )
        geometry = self._geometry((image_HW3.shape[0], image_HW3.shape[1]))
        return self.scores(
            prepare_input(image_HW3, geometry, self.mean_color), geometry
        ).class_ids()

    def scores(self, input_hw3: NDArray[np.uint8], geometry: Geometry) -> Scores:
        """Return the scores of an input that `prepare_input` made; valid until the next call."""
        return Scores(self._runtime.scores(input_hw3[None])[0], geometry)

    @property
    def max_sizes(self) -> int | None:
        """How many sizes of inputs stay prepared; None: all, until they are forgotten."""
        return self._runtime.max_sizes

    @max_sizes.setter
    def max_sizes(self, count: int | None) -> None:
        self._runtime.max_sizes = count

    def forget(self, input_size: tuple[int, int]) -> None:
        """Let go of the memory that inputs of (height, width) need; the next one costs time."""
        self._runtime.forget(input_size)

    def warm_up(self, source: tuple[int, int]) -> None:
        """Compile for images of (height, width), so that the first one costs no more."""
        self.scores(np.zeros((*self._geometry(source).outer, 3), np.uint8), self._geometry(source))


def mean_color(checkpoint: Checkpoint) -> Color:
    """Return the model's mean as the nearest 8-bit color."""
    red, green, blue = (round(value) for value in checkpoint.preprocessing.mean_rgb)
    return red, green, blue
