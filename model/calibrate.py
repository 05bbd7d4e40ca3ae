"""Measurement of the ranges that int8 needs, by running the network in fp32 on sample images."""

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
"""Convolutions that are not computed in int8.

The inputs of the first two have both signs, converting the map of the third takes longer than int8
saves, and the classifier's outputs are compared with each other."""


def calibrate_ranges(
    checkpoint: Checkpoint, images: Iterable[NDArray[np.uint8]], *, calibrated_on: str
) -> Checkpoint:
    """Return the checkpoint with the range of each convolution's input.

    A range is the maximum within each image, averaged over the images. The overall maximum would
    depend on a single outlying pixel; a percentile would cut off values that distinguish small
    objects.

    Args:
        checkpoint: The weights to calibrate; an `agreement` for int8 is dropped.
        images: A few dozen (H, W, 3) RGB images, as varied as those of later use. They are fitted
            as the checkpoint states.
        calibrated_on: A description of the images.

    Raises:
        ConfigError: There are no images, or activations are not finite.
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
        raise ConfigError("calibration: no images, at least one is needed")
    # Any range will do where all inputs are zero.
    highs = {name: float(np.mean(values)) or 1.0 for name, values in maxima.items()}
    agreement = {name: value for name, value in checkpoint.agreement.items() if name != "int8"}
    return replace(checkpoint, ranges=Ranges(highs, calibrated_on), agreement=agreement)


def _note_maximum(
    maxima: dict[str, list[float]], name: str
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def note(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        maxima.setdefault(name, []).append(float(inputs[0].max()))

    return note
