"""The network for inference: from uint8 RGB to logits at 1/8 of the input.

All rewrites of the training graph are exact: batch norm, channel order and the deviation of the
preprocessing are folded into the convolutions, `forward` leaves out the auxiliary heads, and the
1x1 classifier comes before the upsampling, with which it commutes. Zooming by 2 and then by 4 is
one zoom by 8 (align corners), which `Scores.class_ids` computes only where it must.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from icstream.model.checkpoint import Checkpoint
from icstream.model.icnet import BranchLogits, ConvNorm


class DeployGraph(nn.Module):
    """The graph from (N, H, W, 3) uint8 RGB with sides of 32k+1 to (N, K, h, w) float logits."""

    mean_3: Tensor

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.icnet = checkpoint.build()
        for module in self.icnet.modules():
            if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
                module.conv = fuse_conv_bn_eval(module.conv, module.norm)
                module.norm = nn.Identity()
        preprocessing = checkpoint.preprocessing
        for first in (self.icnet.conv1_1.conv, self.icnet.conv1_sub1.conv):
            weight_OIhw = first.weight.detach()
            if preprocessing.order == "bgr":
                weight_OIhw = weight_OIhw.flip(1)
            std_3 = torch.tensor(preprocessing.std_rgb)
            first.weight = nn.Parameter(weight_OIhw / std_3[:, None, None])
        self.register_buffer("mean_3", torch.tensor(preprocessing.mean_rgb))
        self.eval().requires_grad_(False)

    def cast(self, dtype: torch.dtype) -> "DeployGraph":
        """Convert the weights in place and return the graph; the mean stays float32."""
        self.icnet.to(dtype)
        return self

    def forward(self, rgb_NHW3: Tensor) -> Tensor:
        """Return the logits at every 8th pixel, in the weights' float type."""
        features = self.icnet.features(self._input(rgb_NHW3))
        scores_NKhw: Tensor = self.icnet.classifier(features.fused12_NCHW)
        return scores_NKhw

    def branch_logits(self, rgb_NHW3: Tensor) -> BranchLogits:
        """Return the logits of all three heads, auxiliary ones included, each at its own size."""
        return self.icnet.branch_logits(self._input(rgb_NHW3))

    def _input(self, rgb_NHW3: Tensor) -> Tensor:
        # In float32 even where the weights are half: bf16 would move the mean by 0.2.
        x_NHW3 = (rgb_NHW3.float() - self.mean_3).to(self.icnet.classifier.weight.dtype)
        return x_NHW3.permute(0, 3, 1, 2)


class MeanFreeDeployGraph(DeployGraph):
    """The graph for an input from which `subtract_mean` has taken the mean.

    Reordering pixels and skipping every second one inside the graph took a fifth of the network's
    time in OpenVINO.
    """

    def forward(self, full_NHW3: Tensor, half_Nhw3: Tensor) -> Tensor:  # type: ignore[override]
        """Return the logits at every 8th pixel, from float inputs at full and at half size."""
        features = self.icnet.features(full_NHW3.permute(0, 3, 1, 2), half_Nhw3.permute(0, 3, 1, 2))
        scores_NKhw: Tensor = self.icnet.classifier(features.fused12_NCHW)
        return scores_NKhw
