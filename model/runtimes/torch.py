"""PyTorch on the CPU or a CUDA device, with folded weights, channels-last, in inference mode."""

import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model.checkpoint import Checkpoint
from icstream.model.deploy import DeployGraph

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRuntime:
    """The deploy graph in eager PyTorch.

    On the CPU, `threads` permanently sets PyTorch's number of threads for the whole process, as
    PyTorch has no setting for one network.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, device: str, precision: str, threads: int
    ) -> None:
        self.max_sizes: int | None = None  # nothing is kept
        self._device = torch.device(device)
        if self._device.type == "cpu":
            torch.set_num_threads(threads)
        else:
            # For the same masks on every call: no TF32, no search for another algorithm.
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.benchmark = False
        graph = DeployGraph(checkpoint).cast(_TYPES[precision]).to(self._device)
        self._graph = graph.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def scores(self, rgb_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Implement `Runtime.scores`."""
        input_NHW3 = torch.from_numpy(rgb_NHW3).to(self._device)
        scores_NKhw = self._graph(input_NHW3).float().cpu()
        return np.asarray(scores_NKhw.numpy())

    def forget(self, size: tuple[int, int]) -> None:
        """Do nothing, as nothing is kept for a size."""
