"""The served models, and the networks with which a worker thread runs them."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from icstream.model import Checkpoint, Fit, LabelSet, Segmenter, load_weights
from icstream.model.geometry import input_fault
from icstream.model.memory import MemoryBudget, OverBudgetError, Reservation
from icstream.model.runtimes import RuntimeChoice, select_runtime
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.settings.serve import ServeConfig
from icstream.stages.annotate.network import NetworkScores

Use = Literal["ids", "scores"]
"""Use of a model: masks (class ids), or probabilities for the modes of the plugin, each with its
own runtime."""
_SIZES_KEPT = 4
"""Number of input sizes of a model that the runtimes keep compiled."""
# Measured with 1 to 16 million pixels, and rounded up.
_NETWORK_BYTES = 90
"""Bytes per pixel of the image, its derived arrays and the network's layers."""
_SCORE_BYTES = 6
"""Bytes per pixel and class of the scores and their intermediate arrays."""
_KEPT_BYTES = 60
"""Bytes per pixel of a size that a runtime keeps compiled."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A checkpoint with its inference backend."""

    name: str
    checkpoint: Checkpoint
    choice: RuntimeChoice
    fit: Fit
    digest: str
    """SHA-256 of the weights and their metadata."""

    @property
    def labels(self) -> LabelSet:
        """The classes of the mask's ids."""
        return self.checkpoint.labels

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the network's input for an image of (height, width)."""
        return self.fit.geometry(size).outer

    def work_bytes(self, size: tuple[int, int], *, use: Use = "ids") -> int:
        """Return the memory, in bytes, for segmenting an image of (height, width).

        Raises:
            RefusedError: the network's input is too large.
        """
        if (fault := input_fault(self.fit.geometry(size))) is not None:
            raise RefusedError("too_many_pixels", f"an image of {size[1]}x{size[0]} pixels {fault}")
        num_pixels = max(math.prod(size), math.prod(self.input_size(size)))
        per_pixel = _NETWORK_BYTES
        if use == "scores":
            per_pixel += _SCORE_BYTES * (len(self.labels) + 1)
        return num_pixels * per_pixel


def load_models(config: ServeConfig) -> dict[str, Model]:
    """Return every model by its name, the default first.

    Raises:
        ConfigError: weights, runtime, device or precision are invalid.
    """
    models = {}
    for name, place in config.weights.items():
        checkpoint = load_weights(place)
        choice = select_runtime(
            checkpoint,
            runtime=config.model.runtime,
            device=config.model.device,
            precision=config.model.precision,
            threads=config.model.threads,
        )
        fit = config.fit.fit() or checkpoint.fit
        models[name] = Model(name, checkpoint, choice, fit, checkpoint.digest())
    return models


class Networks:
    """The networks of one worker, which are not shared and so need no lock."""

    def __init__(self, models: Mapping[str, Model], kept: MemoryBudget) -> None:
        """Create the networks, each when it is first needed.

        Args:
            models: the models, by name.
            kept: the budget from which the memory of compiled sizes is reserved.
        """
        self._models = models
        self._kept = kept
        self._segmenters: dict[str, Segmenter] = {}
        self._scores: dict[tuple[str, str], NetworkScores] = {}
        self._compiled: dict[tuple[str, Use], OrderedDict[tuple[int, int], Reservation]] = {}

    def is_ready(self, model: str, size: tuple[int, int], *, use: Use = "ids") -> bool:
        """Return whether an image of (height, width) needs no compilation."""
        served = self._models[model]
        inner = served.input_size(size)
        return served.choice.runtime == "torch" or inner in self._compiled.get((model, use), ())

    def segment(self, model: str, image_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the (H, W) class ids of an RGB image."""
        ids_HW = self._segmenter(model)(image_HW3)
        self._note(model, "ids", image_HW3)
        return ids_HW

    def probabilities(
        self, model: str, crops: Iterable[NDArray[np.uint8]], *, sizes_vary: bool
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the probabilities of crops, as `icstream annotate` would compute them.

        Args:
            model: the name of the model.
            crops: the crops, each (H, W, 3) RGB.
            sizes_vary: whether nearly every crop has a different size, so that compiling is too
                slow.
        """
        served = self._models[model]
        choice = served.choice
        if sizes_vary and served.fit.size is None:
            choice = select_runtime(
                served.checkpoint, runtime="torch", device=choice.device, threads=choice.threads
            )
        key = model, choice.runtime
        if key not in self._scores:
            self._scores[key] = NetworkScores(served.checkpoint, choice)
        listed = list(crops)
        for crop_HW3, scores_KHW in zip(listed, self._scores[key](listed), strict=True):
            if choice is served.choice:
                self._note(model, "scores", crop_HW3)
            yield scores_KHW

    def _note(self, model: str, use: Use, image_HW3: NDArray[np.uint8]) -> None:
        """Record a size that the runtime has compiled, if there is memory to keep it."""
        sizes = self._compiled.setdefault((model, use), OrderedDict())
        size = self._models[model].input_size((image_HW3.shape[0], image_HW3.shape[1]))
        if size not in sizes:
            try:
                sizes[size] = self._kept.reserve(_KEPT_BYTES * math.prod(size), what=model)
            except OverBudgetError:
                self._forget(model, use)
                return
        sizes.move_to_end(size)
        if len(sizes) > _SIZES_KEPT:
            sizes.popitem(last=False)[1].release()

    def _forget(self, model: str, use: Use) -> None:
        """Discard a runtime with everything it has compiled; the next request opens another."""
        for reservation in self._compiled.pop((model, use)).values():
            reservation.release()
        if use == "ids":
            self._segmenters.pop(model, None)
        else:
            self._scores.pop((model, self._models[model].choice.runtime), None)

    def _segmenter(self, model: str) -> Segmenter:
        if model not in self._segmenters:
            served = self._models[model]
            self._segmenters[model] = Segmenter.from_choice(
                served.checkpoint, served.choice, fit=served.fit
            )
        return self._segmenters[model]
