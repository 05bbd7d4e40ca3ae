"""Measuring the ranges that int8 needs, by showing images to the network in fp32."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from icstream.model.activation_ranges import Ranges
from icstream.model.checkpoint import Checkpoint
from icstream.model.deploy import DeployGraph
from icstream.model.errors import ConfigError
from icstream.model.network_input import prepare_input
from icstream.model.segmenter import mean_color

KEPT = frozenset(("conv1_1", "conv1_sub1", "cff12.high", "classifier"))
"""Convolutions that are not computed in int8: the inputs of the first two have both signs,
converting the map of the third takes longer than int8 saves, and the classifier's scores are
compared with each other."""


def calibrate_ranges(
    checkpoint: Checkpoint, images: Iterable[NDArray[np.uint8]], *, calibrated_on: str
) -> Checkpoint:
    """Return the checkpoint with ranges: of each convolution's input the largest value, on average.

    That is the mean over images of the maximum within each. The maximum of all would follow a
    single odd pixel; a percentile cuts off what tells small objects apart.

    Args:
        checkpoint: its agreement for int8, if it has one, is dropped.
        images: (H, W, 3) RGB; a few dozen, as various as those to come. They are fitted as the
            checkpoint says.
        calibrated_on: what they are, for people.

    Raises:
        ConfigError: no images, or activations that are not finite.
    """
    graph = DeployGraph(checkpoint).to(memory_format=torch.channels_last)
    maxima: dict[str, list[float]] = {}
    for name, module in graph.icnet.named_modules():
        convolution = name.removesuffix(".conv")
        if isinstance(module, nn.Conv2d) and convolution not in KEPT:
            module.register_forward_pre_hook(_note_maximum(maxima, convolution))
    with torch.inference_mode():
        for image_HW3 in images:
            geometry = checkpoint.fit.geometry((image_HW3.shape[0], image_HW3.shape[1]))
            input_hw3 = prepare_input(image_HW3, geometry, mean_color(checkpoint))
            graph(torch.from_numpy(input_hw3)[None])
    if not maxima:
        raise ConfigError("calibration: not one image to calibrate on")
    # Where nothing ever arrives any range will do.
    highs = {name: float(np.mean(values)) or 1.0 for name, values in maxima.items()}
    agreement = {name: value for name, value in checkpoint.agreement.items() if name != "int8"}
    return replace(checkpoint, ranges=Ranges(highs, calibrated_on), agreement=agreement)


def _note_maximum(
    maxima: dict[str, list[float]], name: str
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def note(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        maxima.setdefault(name, []).append(float(inputs[0].max()))

    return note
