"""The loss of label guidance: cross entropy at all three heads (section 3.3 of the ICNet paper).

Shape suffixes: N batch, K classes, H and W of the labels, h and w of a head's logits, P pixels in a
list.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from icstream.model.icnet import BranchLogits, full_size

FACTORS = (4, 8, 16)
"""The input pixels from one logit to the next at sub124, sub24 and sub4."""
_OHEM_MIN_SHARE = 1 / 16


@dataclass(frozen=True, slots=True)
class GuidedLoss:
    """The weighted sum of the heads' losses, and each head's own.

    Pixels labeled `void` are ignored; a batch without other pixels has a loss of 0.
    """

    void: int
    """The id of pixels without a class."""
    head_weights: tuple[float, float, float] = (1.0, 0.4, 0.16)
    """The weights of sub124, sub24 and sub4."""
    guidance: Literal["full", "shrunk"] = "full"
    """The comparison: full zooms logits to the labels' size, as the plugin does; shrunk samples
    labels at the logits' positions, as the paper does, at a fraction of the cost."""
    class_weights_K: Tensor | None = None
    """The weight of each class's pixels; None: 1 for all."""
    ohem: float | None = None
    """The probability of the true class below which pixels count, which at least 1/16 of the pixels
    of each image (full) or of the batch (shrunk) do; None: all pixels count."""
    label_smoothing: float = 0.0
    """The share of each pixel's target that is spread evenly over all classes; it does not affect
    which pixels `ohem` selects."""

    def __call__(self, logits: BranchLogits, ids_NHW: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the total loss and those of (sub124, sub24, sub4), as float32 scalars.

        Args:
            logits: The logits of the padded input, which are cropped to the labels.
            ids_NHW: The class ids, of any integer type, in the input's size before padding.
        """
        losses = tuple(
            self.of_head(branch, ids_NHW, factor)
            for branch, factor in zip(logits, FACTORS, strict=True)
        )
        pairs = zip(self.head_weights, losses, strict=True)
        return torch.stack([weight * loss for weight, loss in pairs]).sum(), losses

    def of_head(self, logits_NKhw: Tensor, ids_NHW: Tensor, factor: int) -> Tensor:
        """Return the mean loss over the labeled pixels at one head."""
        if self.guidance == "shrunk":
            ids_Nhw = ids_NHW[:, ::factor, ::factor]
            logits_NKhw = logits_NKhw[:, :, : ids_Nhw.shape[1], : ids_Nhw.shape[2]]
            return _mean([self._sums(logits_NKhw, ids_Nhw)])

        def of_image(logits_1Khw: Tensor, ids_1HW: Tensor) -> Tensor:
            return self._sums(full_size(logits_1Khw.float(), factor, ids_1HW.shape[-2:]), ids_1HW)

        # Full-size logits are kept for one image at a time and recomputed in the backward pass:
        # those of a batch of eight at 1025x2049 would take 20 GB.
        pairs = zip(torch.split(logits_NKhw, 1), torch.split(ids_NHW, 1), strict=True)
        return _mean([checkpoint(of_image, one, ids, use_reentrant=False) for one, ids in pairs])

    def _sums(self, logits_NKhw: Tensor, ids_Nhw: Tensor) -> Tensor:
        """Return (2,): the sum of weighted losses, and the sum of their weights."""
        losses_Nhw = _cross_entropy(logits_NKhw.float(), ids_Nhw.long(), self.void)
        weights_Nhw = (ids_Nhw != self.void).to(losses_Nhw.dtype)
        if self.ohem is not None:
            weights_Nhw = weights_Nhw * self._hard(losses_Nhw.detach(), weights_Nhw)
        if self.class_weights_K is not None:
            known_Nhw = ids_Nhw.long().clamp(max=len(self.class_weights_K) - 1)
            weights_Nhw = weights_Nhw * self.class_weights_K.to(losses_Nhw)[known_Nhw]
        if self.label_smoothing > 0:
            losses_Nhw = _cross_entropy(
                logits_NKhw.float(), ids_Nhw.long(), self.void, smoothing=self.label_smoothing
            )
        return torch.stack([(losses_Nhw * weights_Nhw).sum(), weights_Nhw.sum()])

    def _hard(self, losses_Nhw: Tensor, weights_Nhw: Tensor) -> Tensor:
        """Return 1 for the pixels that count, the hardest ones, and 0 for the others."""
        assert self.ohem is not None
        num_kept = max(1, int(_OHEM_MIN_SHARE * float(weights_Nhw.sum())))
        least = torch.topk(losses_Nhw.flatten(), min(num_kept, losses_Nhw.numel())).values[-1]
        limit = torch.minimum(least, -torch.tensor(self.ohem).log().to(losses_Nhw))
        return (losses_Nhw >= limit).to(losses_Nhw.dtype)


def _mean(sums: list[Tensor]) -> Tensor:
    totals_2 = torch.stack(sums).sum(0)
    return totals_2[0] / totals_2[1].clamp(min=1e-6)


def _cross_entropy(
    logits_NKhw: Tensor, ids_Nhw: Tensor, void: int, *, smoothing: float = 0.0
) -> Tensor:
    """Return each pixel's loss; 0 where it is void."""
    loss = partial(F.cross_entropy, ignore_index=void, reduction="none", label_smoothing=smoothing)
    if logits_NKhw.device.type == "cpu":  # takes a third of the time of the other form
        return loss(logits_NKhw, ids_Nhw)
    # On CUDA only the form for lists of pixels has a deterministic gradient.
    logits_PK = logits_NKhw.permute(0, 2, 3, 1).flatten(0, 2)
    return loss(logits_PK, ids_Nhw.flatten()).reshape(ids_Nhw.shape)


def log_class_weights(pixels_K: Tensor, offset: float) -> Tensor:
    """Return the weight 1 / ln(offset + share) of each class, from its number of pixels.

    Rare classes get larger weights, the more so the closer the offset is to 1. ENet uses 1.02
    (Paszke et al. 2016, section 5.1).
    """
    share_K = pixels_K.double() / pixels_K.sum().clamp(min=1)
    return (1 / torch.log(offset + share_K)).float()
