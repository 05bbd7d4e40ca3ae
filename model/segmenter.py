"""The network as a function from an image to the class of every pixel."""

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
    """Padding, normalization, the network, upsampling and argmax in one call.

    Attributes:
        labels: The classes of the ids.
        choice: The runtime, device, precision and threads in use.
        fit: The fit of images to the input.
        mean_color: The color that fills the input outside the image.
        digest: The SHA-256 of the checkpoint.
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
            checkpoint: The weights and their metadata.
            runtime: The library; auto is OpenVINO on a CPU and PyTorch on a GPU.
            device: The device: auto, cpu, cuda or cuda:N.
            precision: The precision; auto is the fastest whose measured agreement with fp32
                suffices, else fp32.
            threads: The number of threads on a CPU; with the runtime torch, of the whole process.
            fit: The fit of images to the input; None: as the checkpoint was trained.

        Raises:
            ConfigError: The runtime, device or precision is not available on this machine.
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
        """Return a segmenter for a choice of `select_runtime`.

        Args:
            checkpoint: The weights and their metadata.
            choice: The runtime, device, precision and threads.
            fit: The fit of images to the input; None: as the checkpoint was trained.

        Raises:
            ConfigError: The choice, perhaps made on another machine, is not available here.
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
            ConfigError: The image is not an (H, W, 3) uint8 array.
        """
        if image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.dtype != np.uint8:
            raise ConfigError(
                "an image must be an (H, W, 3) uint8 array in RGB order, got"
                f" {image_HW3.shape} {image_HW3.dtype}"
            )
        geometry = self._geometry((image_HW3.shape[0], image_HW3.shape[1]))
        return self.scores(
            prepare_input(image_HW3, geometry, self.mean_color), geometry
        ).class_ids()

    def scores(self, input_hw3: NDArray[np.uint8], geometry: Geometry) -> Scores:
        """Return the logits of an input from `prepare_input`, valid until the next call."""
        return Scores(self._runtime.scores(input_hw3[None])[0], geometry)

    @property
    def max_sizes(self) -> int | None:
        """The number of input sizes that stay prepared; None: all, until `forget`."""
        return self._runtime.max_sizes

    @max_sizes.setter
    def max_sizes(self, count: int | None) -> None:
        self._runtime.max_sizes = count

    def forget(self, input_size: tuple[int, int]) -> None:
        """Release the memory for inputs of (height, width); the next one takes longer."""
        self._runtime.forget(input_size)

    def warm_up(self, source: tuple[int, int]) -> None:
        """Compile for images of (height, width), so that the first one takes no longer."""
        self.scores(np.zeros((*self._geometry(source).outer, 3), np.uint8), self._geometry(source))


def mean_color(checkpoint: Checkpoint) -> Color:
    """Return the model's mean as the nearest 8-bit color."""
    red, green, blue = (round(value) for value in checkpoint.preprocessing.mean_rgb)
    return red, green, blue
