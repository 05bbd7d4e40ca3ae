"""The three heads of the network, each as a segmenter."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model import Checkpoint, Segmenter, prepare_input
from icstream.model.deploy import DeployGraph
from icstream.model.upsample import class_ids

STEPS = {"sub124": 4, "sub24": 8, "sub4": 16}
"""The input pixels from one node to the next of each head's logits."""


class Exits:
    """The heads of label guidance, in PyTorch and float32, as in training.

    Images are fitted and logits interpolated as in `segmenter`; only the distance of nodes differs.
    On a CPU, the number of threads is the segmenter's.
    """

    def __init__(self, checkpoint: Checkpoint, segmenter: Segmenter) -> None:
        self._fit = segmenter.fit
        self._mean_color = segmenter.mean_color
        self._device = torch.device(segmenter.choice.device)
        self._threads = segmenter.choice.threads
        self._graph = DeployGraph(checkpoint).to(self._device)

    @torch.inference_mode()
    def __call__(self, image_HW3: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
        """Return the (H, W) class ids of each head, by its name."""
        geometry = self._fit.geometry((image_HW3.shape[0], image_HW3.shape[1]))
        input_hw3 = prepare_input(image_HW3, geometry, self._mean_color)
        input_1hw3 = torch.from_numpy(input_hw3)[None].to(self._device)
        with _torch_threads(self._threads):
            logits = self._graph.branch_logits(input_1hw3)._asdict()
        return {
            name: class_ids(logits[name][0].cpu().numpy(), *geometry.axes(step))
            for name, step in STEPS.items()
        }


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Set PyTorch's number of CPU threads within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
