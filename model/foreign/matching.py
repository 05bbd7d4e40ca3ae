"""Matching of foreign tensors with those of the network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from icstream.model.checkpoint import Checkpoint
from icstream.model.errors import CheckpointError, ConversionError
from icstream.model.foreign.report import Report
from icstream.model.geometry import Fit
from icstream.model.icnet_config import ICNetConfig, Variant
from icstream.model.labels import LabelSet
from icstream.model.weight_shapes import needed_shapes, shape_text

_FULL_CLASSIFIER_INPUTS = 256
"""The channels before the classifier of the full-width network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A foreign network, read but not yet matched with `ICNet`."""

    source: str
    """A description of the file's kind."""
    tensors: Mapping[str, Tensor]
    """The tensors by their foreign names."""
    theirs: Callable[[str], str]
    """The function that maps a tensor's name in `ICNet` to its foreign name."""
    classifier: str
    """The foreign name of the final classifier's weights, of shape (K, C, 1, 1)."""
    variant: Variant
    use_batchnorm: bool
    fit: Fit
    why_ignored: Callable[[str], str]
    """The function that returns why a foreign tensor is left out."""
    labels: LabelSet | None = None
    """The classes stated by the file; None if there are none."""
    folded: Mapping[str, str]
    """The merging of tensors into others, as a clause by foreign name."""
    notes: tuple[str, ...] = ()
    """Assumptions made where the file states nothing."""

    def config(self) -> ICNetConfig:
        """Return the configuration of `ICNet` that fits the classifier's shape.

        Raises:
            CheckpointError: There is no classifier, or its size is not supported.
        """
        tensor = self.tensors.get(self.classifier)
        if tensor is None:
            raise CheckpointError(f"missing {self.classifier}, which gives the number of classes")
        if tensor.dim() != 4:
            raise CheckpointError(
                f"{self.classifier} is {shape_text(tensor.shape)}, expected classes x"
                " channels x 1 x 1"
            )
        return ICNetConfig(
            num_classes=tensor.shape[0],
            variant=self.variant,
            width=tensor.shape[1] / _FULL_CLASSIFIER_INPUTS,
            use_batchnorm=self.use_batchnorm,
        )


def match(foreign: Foreign, labels: LabelSet) -> tuple[Checkpoint, Report]:
    """Return the checkpoint, with an empty `training`, and the outcome for each tensor.

    Raises:
        ConversionError: A tensor is missing, of another shape, or holds unusable values.
        CheckpointError: The network's number of classes differs from that of `labels`.
    """
    config = foreign.config()
    if len(labels) != config.num_classes:
        raise CheckpointError(f"{config.num_classes} outputs, but {len(labels)} classes are named")
    report = _compare(foreign, needed_shapes(config))
    if report.faults():
        raise ConversionError("; ".join(report.faults()), report.values())
    tensors = {
        ours: foreign.tensors[theirs].detach().float().clone()
        for theirs, ours in report.taken.items()
    }
    return Checkpoint(config, labels, tensors, fit=foreign.fit), report


def _compare(foreign: Foreign, needed: Mapping[str, tuple[int, ...]]) -> Report:
    """Return the outcome for each tensor on both sides, without copying any."""
    taken: dict[str, str] = {}
    missing: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for ours, shape in needed.items():
        theirs = foreign.theirs(ours)
        if theirs not in foreign.tensors:
            missing[theirs] = ours
            continue
        fault = _fault(ours, foreign.tensors[theirs], shape)
        if fault is None:
            taken[theirs] = ours
        else:
            wrong[theirs] = fault
    others = [name for name in foreign.tensors if name not in taken and name not in wrong]
    return Report(
        source=foreign.source,
        taken=taken,
        ignored={name: foreign.why_ignored(name) for name in others},
        folded=foreign.folded,
        missing=missing,
        wrong=wrong,
        notes=foreign.notes,
    )


def _fault(ours: str, tensor: Tensor, shape: tuple[int, ...]) -> str | None:
    """Return why a tensor cannot be used, or None; values are checked only if the shape fits."""
    if tuple(tensor.shape) != shape:
        return f"is {shape_text(tensor.shape)}, the network needs {shape_text(shape)}"
    if not _plain(tensor):
        return f"holds {tensor.dtype}, dense floating-point numbers are needed"
    if not torch.isfinite(tensor.float()).all():
        return "holds numbers that are not finite"
    if ours.endswith("running_var") and tensor.min() < 0:
        return "holds variances below 0"
    return None


def _plain(tensor: Tensor) -> bool:
    return (
        tensor.is_floating_point()
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
    )
