"""ICNet, the image cascade network, to be read from top to bottom.

Zhao, Qi, Shen, Shi, Jia: "ICNet for Real-Time Semantic Segmentation on High-Resolution Images",
ECCV 2018 (arXiv:1704.08545); layer names are those of the authors' released prototxt.

    full image --------- sub1: three convolutions, stride 8 ------------------- CFF 12 -- classifier
    half image -- conv1..conv3_1 (shared), 1/16 ------------------ CFF 24 ------^
                            `- half again: conv3_2..conv5, 1/32 ---^

Sizes: the input is padded right and bottom with the mean color (zeros) to 32k+1 on each side.
There the branches meet exactly, every bilinear halving is a strided slice, and the output is
cropped back to the input's size; training and evaluation do the same.

Shape suffixes: N batch, C channels, H and W rows and columns of whatever map is meant, K classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icstream.model.errors import ConfigError
from icstream.model.geometry import MIN_SIDE, network_size
from icstream.model.icnet_config import ICNetConfig
from icstream.model.pyramid import pyramid_pooling


class BranchLogits(NamedTuple):
    """The logits of the three heads, for label guidance (section 3.3 of the paper)."""

    sub124: Tensor
    """(N, K, H/4, W/4) of the padded input; the final classifier."""
    sub24: Tensor
    """(N, K, H/8, W/8); auxiliary."""
    sub4: Tensor
    """(N, K, H/16, W/16); auxiliary."""


class Features(NamedTuple):
    """The maps that the heads read."""

    fused12_NCHW: Tensor
    """The output of CFF 12 at 1/8."""
    low12_NCHW: Tensor
    """The low-resolution input of CFF 12, upsampled to 1/8."""
    low24_NCHW: Tensor
    """The low-resolution input of CFF 24, upsampled to 1/16."""


class ConvNorm(nn.Module):
    """A convolution that keeps the size at stride 1, with batch norm or a bias."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, *, stride: int = 1, dilation: int = 1, norm: bool
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, bias=not norm)
        self.norm = nn.BatchNorm2d(c_out) if norm else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, H / stride, W / stride), rounded up."""
        out: Tensor = self.norm(self.conv(x_NCHW))
        return out


class Bottleneck(nn.Module):
    """A residual block: 1x1 reduce, 3x3, 1x1 increase, and a 1x1 projection where shapes differ."""

    def __init__(
        self,
        c_in: int,
        c_mid: int,
        c_out: int,
        *,
        stride_reduce: int = 1,
        stride_3x3: int = 1,
        dilation: int = 1,
        norm: bool,
    ) -> None:
        super().__init__()
        self.reduce = ConvNorm(c_in, c_mid, 1, stride=stride_reduce, norm=norm)
        self.conv3x3 = ConvNorm(c_mid, c_mid, 3, stride=stride_3x3, dilation=dilation, norm=norm)
        self.increase = ConvNorm(c_mid, c_out, 1, norm=norm)
        self.proj: ConvNorm | None = None
        if c_in != c_out:
            self.proj = ConvNorm(c_in, c_out, 1, stride=stride_reduce * stride_3x3, norm=norm)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, H / stride, W / stride), rounded up."""
        shortcut_NCHW = x_NCHW if self.proj is None else self.proj(x_NCHW)
        y_NCHW = F.relu(self.reduce(x_NCHW))
        y_NCHW = F.relu(self.conv3x3(y_NCHW))
        return F.relu(self.increase(y_NCHW) + shortcut_NCHW)


class CascadeFeatureFusion(nn.Module):
    """CFF (section 3.2): the low map, upsampled x2 and convolved with dilation 2, plus the high.

    `aux` is the auxiliary head of label guidance on the upsampled low branch, used only in
    training.
    """

    def __init__(self, c_low: int, c_high: int, c_out: int, num_classes: int, *, norm: bool):
        super().__init__()
        self.low = ConvNorm(c_low, c_out, 3, dilation=2, norm=norm)
        self.high = ConvNorm(c_high, c_out, 1, norm=norm)
        self.aux = nn.Conv2d(c_low, num_classes, 1)

    def forward(self, low_NCHW: Tensor, high_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fused map and the upsampled low map, both of the high map's size."""
        low_NCHW = upsample(low_NCHW, 2)
        return F.relu(self.low(low_NCHW) + self.high(high_NCHW)), low_NCHW


class ICNet(nn.Module):
    """ICNet, for inputs of any size from 64x64.

    Inputs are floats with the mean subtracted and channels in the order of the checkpoint's
    preprocessing.
    """

    def __init__(self, config: ICNetConfig) -> None:
        super().__init__()
        self.config = config
        norm = config.use_batchnorm
        c1, c2, c3, c4, c5 = config.channels
        stride_reduce, stride_3x3 = (2, 1) if config.variant == "paper" else (1, 2)

        self.conv1_1 = ConvNorm(3, c1 // 2, 3, stride=2, norm=norm)
        self.conv1_2 = ConvNorm(c1 // 2, c1 // 2, 3, norm=norm)
        self.conv1_3 = ConvNorm(c1 // 2, c1, 3, norm=norm)
        self.conv2 = bottlenecks(3, c1, c1 // 2, c2, norm=norm)
        self.conv3_1 = Bottleneck(
            c2, c1, c3, stride_reduce=stride_reduce, stride_3x3=stride_3x3, norm=norm
        )
        self.conv3 = bottlenecks(3, c3, c1, c3, norm=norm)
        self.conv4 = bottlenecks(6, c3, c2, c4, dilation=2, norm=norm)
        self.conv5 = bottlenecks(3, c4, c3, c5, dilation=4, norm=norm)
        self.conv5_4 = ConvNorm(c5, c3, 1, norm=norm)

        self.conv1_sub1 = ConvNorm(3, c1 // 2, 3, stride=2, norm=norm)
        self.conv2_sub1 = ConvNorm(c1 // 2, c1 // 2, 3, stride=2, norm=norm)
        self.conv3_sub1 = ConvNorm(c1 // 2, c1, 3, stride=2, norm=norm)

        self.cff24 = CascadeFeatureFusion(c3, c3, c2, config.num_classes, norm=norm)
        self.cff12 = CascadeFeatureFusion(c2, c1, c2, config.num_classes, norm=norm)
        self.classifier = nn.Conv2d(c2, config.num_classes, 1)

    def features(self, x_NCHW: Tensor, half_NCHW: Tensor | None = None) -> Features:
        """Return the maps that the heads read, from an input whose sides are 32k+1.

        Args:
            x_NCHW: The input.
            half_NCHW: The result of `halve(x_NCHW)`, if the caller has it already.
        """
        # sub2 and sub4 share the trunk up to conv3_1
        y_NCHW = halve(x_NCHW) if half_NCHW is None else half_NCHW  # 1/2
        y_NCHW = F.relu(self.conv1_1(y_NCHW))  # 1/4
        y_NCHW = F.relu(self.conv1_2(y_NCHW))
        y_NCHW = F.relu(self.conv1_3(y_NCHW))
        y_NCHW = F.max_pool2d(y_NCHW, kernel_size=3, stride=2, padding=1)  # 1/8
        y_NCHW = self.conv2(y_NCHW)
        sub2_NCHW = self.conv3_1(y_NCHW)  # 1/16

        y_NCHW = halve(sub2_NCHW)  # 1/32
        y_NCHW = self.conv5(self.conv4(self.conv3(y_NCHW)))
        y_NCHW = pyramid_pooling(y_NCHW)
        sub4_NCHW = F.relu(self.conv5_4(y_NCHW))

        y_NCHW = F.relu(self.conv1_sub1(x_NCHW))  # 1/2
        y_NCHW = F.relu(self.conv2_sub1(y_NCHW))  # 1/4
        sub1_NCHW = F.relu(self.conv3_sub1(y_NCHW))  # 1/8

        fused24_NCHW, low24_NCHW = self.cff24(sub4_NCHW, sub2_NCHW)  # 1/16
        fused12_NCHW, low12_NCHW = self.cff12(fused24_NCHW, sub1_NCHW)  # 1/8
        return Features(fused12_NCHW, low12_NCHW, low24_NCHW)

    def branch_logits(self, x_NCHW: Tensor, *, dropout: float = 0.0) -> BranchLogits:
        """Return the raw logits of all three heads, for label guidance.

        Args:
            x_NCHW: The input.
            dropout: The share of channels that are dropped before the last classifier in training.
        """
        features = self.features(pad_to_network_size(x_NCHW))
        fused12_NCHW = features.fused12_NCHW
        if dropout > 0:
            fused12_NCHW = F.dropout2d(fused12_NCHW, dropout, self.training)
        return BranchLogits(
            sub124=self.classifier(upsample(fused12_NCHW, 2)),
            sub24=self.cff12.aux(features.low12_NCHW),
            sub4=self.cff24.aux(features.low24_NCHW),
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the (N, K, H, W) logits, of exactly the input's size.

        Raises:
            ConfigError: A side of the input is below 64.
        """
        features = self.features(pad_to_network_size(x_NCHW))
        logits_NKHW: Tensor = self.classifier(upsample(features.fused12_NCHW, 2))  # 1/4
        return full_size(logits_NKHW, 4, x_NCHW.shape[-2:])


def bottlenecks(
    count: int, c_in: int, c_mid: int, c_out: int, *, dilation: int = 1, norm: bool
) -> nn.Sequential:
    """Return a stage of bottlenecks, of which the first projects its shortcut if `c_in` differs."""
    return nn.Sequential(
        *(
            Bottleneck(c_in if i == 0 else c_out, c_mid, c_out, dilation=dilation, norm=norm)
            for i in range(count)
        )
    )


def halve(x_NCHW: Tensor) -> Tensor:
    """Return every second row and column: exact align-corners bilinear halving for odd sides."""
    return x_NCHW[:, :, ::2, ::2]


def upsample(x_NCHW: Tensor, factor: int) -> Tensor:
    """Return a bilinear zoom from n to (n-1) * factor + 1, align corners (the authors' Interp)."""
    size = [(side - 1) * factor + 1 for side in x_NCHW.shape[-2:]]
    return F.interpolate(x_NCHW, size=size, mode="bilinear", align_corners=True)


def full_size(logits_NKHW: Tensor, factor: int, size: Sequence[int]) -> Tensor:
    """Return a head's logits zoomed by `factor` and cropped to `size` = (height, width)."""
    return upsample(logits_NKHW, factor)[:, :, : size[0], : size[1]]


def pad_to_network_size(x_NCHW: Tensor) -> Tensor:
    """Return the input with zeros to the right and below, up to 32k+1 on each side."""
    height, width = x_NCHW.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise ConfigError(f"input of {height}x{width}: both sides must be at least {MIN_SIDE}")
    target = network_size((height, width))
    return F.pad(x_NCHW, (0, target[1] - width, 0, target[0] - height))


def initialize(model: ICNet, *, seed: int) -> None:
    """Set He-normal weights from `seed`, equal on every machine, and biases of 0."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
