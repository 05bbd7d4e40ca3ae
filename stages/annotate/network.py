"""The network for modes, which returns probabilities of crops with channel 0 for the background."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icstream.model import Checkpoint, Geometry, LabelSet, prepare_input
from icstream.model.geometry import Axis
from icstream.model.labels import Color
from icstream.model.runtimes import RuntimeChoice, open_runtime
from icstream.model.segmenter import mean_color
from icstream.stages.annotate.window_scores import softmax_in_place

_BACKGROUNDS = ("background", "unlabelled")
"""The names of class 0 if it stands for unlabeled pixels."""


class _Prepared(NamedTuple):
    geometry: Geometry
    input_hw3: NDArray[np.uint8]


class NetworkScores:
    """A function from crops to probabilities.

    Crops are fitted as the checkpoint states. If it stretches them, the probabilities have the size
    of the network's input, as in the plugin; otherwise that of the crop.

    The channels are the background followed by those of `label_classes`.
    """

    def __init__(self, checkpoint: Checkpoint, choice: RuntimeChoice, *, batch: int = 1) -> None:
        """Load the weights.

        Args:
            checkpoint: The weights and their metadata.
            choice: The runtime, device, precision and threads.
            batch: The number of crops of one size in each call of the network.
        """
        self._has_background = has_background(checkpoint.labels)
        self._fit = checkpoint.fit
        self._mean_color = mean_color(checkpoint)
        self._batch = batch
        self._runtime = open_runtime(checkpoint, choice)

    def __call__(self, crops: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Yield the (K, h, w) probabilities of each (H, W, 3) RGB crop, as a `PredictMany`."""
        waiting: list[_Prepared] = []
        for crop_HW3 in crops:
            geometry = self._fit.geometry((crop_HW3.shape[0], crop_HW3.shape[1]))
            if waiting and (
                len(waiting) == self._batch or waiting[0].geometry.outer != geometry.outer
            ):
                yield from self._run(waiting)
                waiting.clear()
            waiting.append(_Prepared(geometry, prepare_input(crop_HW3, geometry, self._mean_color)))
        if waiting:
            yield from self._run(waiting)

    def _run(self, waiting: list[_Prepared]) -> Iterator[NDArray[np.float32]]:
        # Batches always have one shape, so that a crop's scores do not depend on the others.
        inputs_Nhw3 = np.zeros((self._batch, *waiting[0].input_hw3.shape), np.uint8)
        for place_hw3, prepared in zip(inputs_Nhw3, waiting, strict=False):
            place_hw3[:] = prepared.input_hw3
        logits_NKhw = self._runtime.scores(inputs_Nhw3)
        for prepared, logits_Khw in zip(waiting, logits_NKhw, strict=False):
            yield self._probabilities(logits_Khw, prepared.geometry)

    def _probabilities(
        self, logits_Khw: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.float32]:
        if self._fit.mode == "stretch":
            geometry = Geometry(geometry.inner, geometry.inner, geometry.outer)
        rows, columns = geometry.axes()
        first = 0 if self._has_background else 1  # no share is left for it
        # Contiguous channels, as the last bit of their sum depends on the order.
        shape = (len(rows.nodes), len(columns.nodes), first + len(logits_Khw))
        scores_KHW = np.zeros(shape, np.float32).transpose(2, 0, 1)
        interpolate(logits_Khw, rows, columns, out_KHW=scores_KHW[first:])
        softmax_in_place(scores_KHW[first:])
        return scores_KHW


def has_background(labels: LabelSet) -> bool:
    """Whether class 0 stands for unlabeled pixels, as after training on a project."""
    first = labels.names[0].strip().casefold()
    return first in _BACKGROUNDS or first.rpartition(" ")[0] == _BACKGROUNDS[1]


def label_classes(labels: LabelSet) -> list[tuple[str, Color]]:
    """Return the name and color of each class that can be saved, in the order of channels."""
    pairs = list(zip(labels.names, labels.colors, strict=True))
    return pairs[1:] if has_background(labels) else pairs


def interpolate(
    values_Khw: NDArray[np.float32], rows: Axis, columns: Axis, *, out_KHW: NDArray[np.float32]
) -> None:
    """Write the values between the nodes, rounded as in `icstream.model.upsample`.

    Besides the result, only a few channels are in memory at once.
    """
    one = np.float32(1)
    fx, fy = columns.fractions, rows.fractions[:, None]
    for values_hw, out_HW in zip(values_Khw, out_KHW, strict=True):
        across_hW = values_hw[:, columns.nodes] * (one - fx) + values_hw[:, columns.nodes + 1] * fx
        out_HW[:] = across_hW[rows.nodes] * (one - fy) + across_hW[rows.nodes + 1] * fy
