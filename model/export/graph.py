"""The graph for other programs: from images of one size to class ids or logits."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from icstream.model.checkpoint import Checkpoint
from icstream.model.deploy import DeployGraph
from icstream.model.geometry import Axis
from icstream.model.segmenter import mean_color

Form = Literal["ids", "logits"]


class ExportGraph(nn.Module):
    """The steps of `Segmenter` as one graph, for (N, H, W, 3) uint8 RGB of one size.

    The output is (N, H, W) uint8 class ids for the form "ids", and (N, K, h, w) float logits for
    the form "logits": those at the nodes, every 8th pixel of the network's input, 64 times fewer
    than at full size.
    """

    colour_3: Tensor

    def __init__(self, checkpoint: Checkpoint, size: tuple[int, int], form: Form) -> None:
        super().__init__()
        self.network = DeployGraph(checkpoint)
        self.geometry = checkpoint.fit.geometry(size)
        rows, columns = self.geometry.axes()
        self.resize = _Resize(size, self.geometry.inner) if self.geometry.resized else None
        self.zoom = _Zoom(rows, columns) if form == "ids" else None
        color = torch.tensor(mean_color(checkpoint), dtype=torch.float32)
        self.register_buffer("colour_3", color)

    def forward(self, rgb_NHW3: Tensor) -> Tensor:
        """Return class ids or logits, depending on the form."""
        scores_NKhw: Tensor = self.network(self._prepare(rgb_NHW3.float()))
        if self.zoom is None:
            return scores_NKhw
        ids_NHW: Tensor = self.zoom(scores_NKhw).argmax(1)
        return ids_NHW.to(torch.uint8)

    def _prepare(self, rgb_NHW3: Tensor) -> Tensor:
        """Return the network's input, equal to that of `prepare_input`."""
        if self.resize is not None:
            rgb_NHW3 = self.resize(rgb_NHW3)
        count = rgb_NHW3.shape[0]
        height, width = self.geometry.inner
        right = self.geometry.outer[1] - width
        below = self.geometry.outer[0] - height
        if right:
            fill_NHw3 = self.colour_3.expand(count, height, right, 3)
            rgb_NHW3 = torch.cat((rgb_NHW3, fill_NHw3), 2)
        if below:
            fill_NhW3 = self.colour_3.expand(count, below, width + right, 3)
            rgb_NHW3 = torch.cat((rgb_NHW3, fill_NhW3), 1)
        return rgb_NHW3


class _Resize(nn.Module):
    """Bilinear resizing of images in the fixed-point arithmetic of OpenCV.

    OpenCV rounds weights to 11 bits, truncates to 1/128 after the rows and to 1/4 in each half of
    the columns, and rounds up from there. In the last few columns, and in builds for other CPUs, it
    rounds more exactly, so that values there may differ by one.
    """

    y_H: Tensor
    x_W: Tensor
    fy_H11: Tensor
    fx_W1: Tensor

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        super().__init__()
        (y, fy), (x, fx) = (_weights(*sides) for sides in zip(source, target, strict=True))
        self.register_buffer("y_H", torch.from_numpy(y))
        self.register_buffer("x_W", torch.from_numpy(x))
        self.register_buffer("fy_H11", torch.from_numpy(fy)[:, None, None])
        self.register_buffer("fx_W1", torch.from_numpy(fx)[:, None])

    def forward(self, rgb_Nhw3: Tensor) -> Tensor:
        """Return (N, H, W, 3) whole numbers, as floats."""
        left = rgb_Nhw3.index_select(2, self.x_W) * (1 - self.fx_W1)
        right = rgb_Nhw3.index_select(2, self.x_W + 1) * self.fx_W1
        quarters = ((left + right) * 128).floor() / 32
        top = (quarters.index_select(1, self.y_H) * (1 - self.fy_H11)).floor()
        bottom = (quarters.index_select(1, self.y_H + 1) * self.fy_H11).floor()
        return ((top + bottom + 2) / 4).floor()


def _weights(source: int, target: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return, for each target pixel, the source pixel before it and the weight of the next.

    Pixel centers are aligned, as in `cv2.resize`.
    """
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    position = np.clip(position, 0, source - 1)
    before = np.minimum(position.astype(np.int64), source - 2)
    return before, np.rint((position - before) * 2048).astype(np.float32) / np.float32(2048)


class _Zoom(nn.Module):
    """Interpolation of logits at the image's pixels, in the order of `class_ids_dense`."""

    rows: Tensor
    columns: Tensor
    y_L1: Tensor
    x_L: Tensor

    def __init__(self, rows: Axis, columns: Axis) -> None:
        super().__init__()
        self.register_buffer("rows", torch.from_numpy(rows.nodes.astype(np.int64)))
        self.register_buffer("columns", torch.from_numpy(columns.nodes.astype(np.int64)))
        self.register_buffer("y_L1", torch.from_numpy(rows.fractions)[:, None])
        self.register_buffer("x_L", torch.from_numpy(columns.fractions))

    def forward(self, scores_NKhw: Tensor) -> Tensor:
        """Return the (N, K, H, W) logits."""
        left_NKhW = scores_NKhw.index_select(3, self.columns)
        right_NKhW = scores_NKhw.index_select(3, self.columns + 1)
        across_NKhW = left_NKhW * (1 - self.x_L) + right_NKhW * self.x_L
        top_NKHW = across_NKhW.index_select(2, self.rows)
        bottom_NKHW = across_NKhW.index_select(2, self.rows + 1)
        return top_NKHW * (1 - self.y_L1) + bottom_NKHW * self.y_L1
