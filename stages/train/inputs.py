"""Conversion of uint8 images to the network's float input, on the training device."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from icstream.model import Preprocessing
from icstream.stages.train.settings import TrainPrecision

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class InputNorm:
    """The function that subtracts the mean and orders the channels."""

    preprocessing: Preprocessing
    """The mean, the deviation and the order."""
    device: torch.device
    """The training device."""
    precision: TrainPrecision
    """The precision of the network."""

    def __call__(self, rgb_NHW3: Tensor) -> Tensor:
        """Return the (N, 3, H, W) float32 input, channels last."""
        mean_3 = torch.tensor(self.preprocessing.mean_rgb, device=self.device)
        std_3 = torch.tensor(self.preprocessing.std_rgb, device=self.device)
        x_NHW3 = (rgb_NHW3.to(self.device, non_blocking=True).float() - mean_3) / std_3
        if self.preprocessing.order == "bgr":
            x_NHW3 = x_NHW3.flip(-1)
        return x_NHW3.permute(0, 3, 1, 2)

    def autocast(self) -> AbstractContextManager[object]:
        """Return the autocast context for the network's precision."""
        return torch.autocast(
            self.device.type, _TYPES[self.precision], enabled=self.precision != "fp32"
        )
