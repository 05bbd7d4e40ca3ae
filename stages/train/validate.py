"""Validation by the loss of the finest head and one confusion matrix over all pixels."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from icstream.model import ICNet, LabelSet, Scores
from icstream.model.icnet import upsample
from icstream.model.loss import FACTORS, GuidedLoss
from icstream.stages.confusion import Confusion
from icstream.stages.train.data_loading import Failures, Fitted
from icstream.stages.train.inputs import InputNorm
from icstream.stages.train.ranks import Ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The results of a validation, over all ranks."""

    confusion: Confusion
    """The confusion matrix over all pixels."""
    loss: float
    """The mean over samples of the finest head's loss."""
    num_samples: int
    """The number of samples that were scored."""
    failures: Failures = field(default_factory=dict)
    """The samples that could not be used, and why."""

    @property
    def is_finite(self) -> bool:
        """Whether the loss is finite."""
        return math.isfinite(self.loss)

    def values(self, labels: LabelSet) -> dict[str, Any]:
        """Return the results as JSON values, with null for values that are not finite.

        Classes that do not occur have no IoU.
        """
        iou = zip(labels.names, self.confusion.iou().tolist(), strict=True)
        return {
            "loss": _finite(self.loss),
            "accuracy": _finite(self.confusion.pixel_accuracy()),
            "miou": _finite(self.confusion.miou()),
            "iou": {name: round(value, 5) for name, value in iou if value == value},
            "num_samples": self.num_samples,
        }


def is_better(score: float, best: float | None) -> bool:
    """Return whether a score is finite and above the best so far."""
    if not math.isfinite(score):
        return False
    return best is None or not math.isfinite(best) or score > best


@torch.inference_mode()
def validate_network(
    model: ICNet,
    batches: Iterable[list[Fitted] | Failures],
    *,
    norm: InputNorm,
    loss: GuidedLoss,
    ranks: Ranks,
) -> Validation:
    """Return the scores of the network in evaluation mode, on images fitted as in inference.

    Class ids are compared at the images' own size, by the same upsampling as in inference.
    """
    training = model.training
    model.eval()
    confusion = Confusion(model.config.num_classes)
    failures: Failures = {}
    loss_sum, num_samples = 0.0, 0
    for batch in batches:
        if isinstance(batch, dict):
            failures |= batch
            continue
        loss_sum += _score(model, batch, norm, loss, confusion)
        num_samples += len(batch)
    model.train(training)
    totals = torch.tensor([loss_sum, num_samples], dtype=torch.float64)
    loss_sum, total = ranks.sum(totals).tolist()
    counts = ranks.sum(torch.from_numpy(confusion.counts))
    confusion.counts = counts.numpy()
    return Validation(
        confusion=confusion,
        loss=loss_sum / max(total, 1),
        num_samples=int(total),
        failures=ranks.merge(failures),
    )


def _score(
    model: ICNet, batch: list[Fitted], norm: InputNorm, loss: GuidedLoss, confusion: Confusion
) -> float:
    """Add a batch of one size, and return the sum of its images' losses."""
    rgb_NHW3 = torch.from_numpy(np.stack([fitted.view.input_hw3 for fitted in batch]))
    ids_NHW = torch.from_numpy(np.stack([fitted.view.ids_hw for fitted in batch]))
    with norm.autocast():
        fused_NChw = model.features(norm(rgb_NHW3)).fused12_NCHW
        logits_NKhw = model.classifier(upsample(fused_NChw, 2)).float()
    # Every second node of the quarter-size logits is a node at 1/8, without a zoom in between.
    scores_NKhw = logits_NKhw[:, :, ::2, ::2].cpu().numpy()
    total = 0.0
    for fitted, scores_Khw, logits_Khw, ids_HW in zip(
        batch, scores_NKhw, logits_NKhw, ids_NHW.to(logits_NKhw.device), strict=True
    ):
        confusion.add(
            Scores(np.ascontiguousarray(scores_Khw), fitted.geometry).class_ids(), fitted.ids_HW
        )
        total += float(loss.of_head(logits_Khw[None], ids_HW[None], FACTORS[0]))
    return total


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
