"""The results of an evaluation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from icstream.model import Fit
from icstream.model.runtimes import RuntimeChoice
from icstream.stages.confusion import Confusion
from icstream.stages.evaluate.matching import Matching


@dataclass(frozen=True, slots=True)
class FrameScore:
    """The result of one frame."""

    name: str
    """The name of its sample."""
    miou: float
    """The mean IoU of the classes in its truth or its mask; NaN if all of it is void."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptedSample:
    """A sample that could not be loaded and is left out."""

    name: str
    """The name of the sample."""
    error: str
    """The error."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evaluation:
    """The results on one split, and the conditions of the evaluation."""

    origin: str
    """The data set's folder, for display."""
    split: str
    """The split that was scored."""
    matching: Matching
    """The matching of the network's classes with those of the data."""
    confusion: Confusion
    """The confusion matrix over all pixels of all frames."""
    exits: Mapping[str, Confusion]
    """The confusion matrix of each head, "sub124", "sub24" and "sub4"; empty if they were not
    scored."""
    frames: tuple[FrameScore, ...]
    """The frames that were scored, in the order of the split."""
    corrupted: tuple[CorruptedSample, ...]
    """The samples that could not be loaded."""
    without_split: tuple[str, ...]
    """A line for each file whose split is unknown due to damage."""
    choice: RuntimeChoice
    """The runtime, device, precision and threads."""
    fit: Fit
    """The fit of images to the input."""
    digest: str
    """The SHA-256 of the checkpoint."""
    seconds: float
    """The total time of reading, inference and counting, in seconds."""
    left_out: tuple[str, ...] = ()
    """A line for each kind of objects that are left out, as in `LabeledData`."""

    @property
    def protocol(self) -> str:
        """The sentence on the conditions of the results, to be quoted with them."""
        num_samples = len(self.frames) + len(self.corrupted)
        frames = f"{len(self.frames)} frames"
        if self.corrupted:
            frames = f"{len(self.frames)} of {num_samples} frames (the rest cannot be loaded)"
        return (
            f"split {self.split}, {frames}; single scale, no flipping; {fit_sentence(self.fit)};"
            " masks compared at the labels' own size, void pixels left out; IoU per class from one"
            " confusion matrix over all pixels of all frames; mIoU is its mean over classes,"
            " without those absent from both truth and prediction"
        )

    def ranked(self) -> list[FrameScore]:
        """Return the frames from worst to best, without those that are entirely void."""
        return sorted(
            (frame for frame in self.frames if not math.isnan(frame.miou)),
            key=lambda frame: (frame.miou, frame.name),
        )


def fit_sentence(fit: Fit) -> str:
    """Return a description of the fit of images."""
    if fit.size is not None:
        verb = {"stretch": "stretched to", "letterbox": "resized to fit within"}[fit.mode]
        return f"images {verb} {fit.size[0]}x{fit.size[1]}, and the scores brought back"
    padded = "padded to 32k+1 on each side"
    if fit.double_below:
        return f"images as they are, those under {fit.double_below} on a side doubled, {padded}"
    return f"images as they are, {padded}"
