"""Measurement of the agreement of a lower precision with fp32, on the same frames and runtime."""

import math
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icstream.model import Agreement, Checkpoint, ConfigError, Fit, Segmenter
from icstream.model.runtimes import Precision, RuntimeName
from icstream.model.settings_base import DEFAULT_THREADS
from icstream.stages.data import LabeledData, LabeledImage
from icstream.stages.evaluate.evaluation import CorruptedSample
from icstream.stages.evaluate.matching import Matching
from icstream.stages.evaluate.scoring import OnProgress, ignore_progress, load_all


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredAgreement:
    """The measured agreement of a lower precision."""

    precision: str
    """The lower precision."""
    agreement: Agreement
    """The part that is stored in the checkpoint."""
    miou: float
    """The mIoU of the lower precision against the labels, 0 to 1."""
    miou_fp32: float
    """The mIoU of fp32 against the labels, 0 to 1."""
    worst_frame: str
    """The frame with the lowest agreement."""
    worst_frame_pixels: float
    """The share of equal pixels in that frame, 0 to 1."""

    def kept_in(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return the checkpoint with this agreement added to its header."""
        measured = {**checkpoint.agreement, self.precision: self.agreement}
        return replace(checkpoint, agreement=measured)

    def line(self) -> str:
        """Return the measurement as one line of text."""
        return (
            f"{self.precision} against fp32: same class on {100 * self.agreement.pixels:.3f} % of"
            f" pixels (worst frame {self.worst_frame}: {100 * self.worst_frame_pixels:.2f} %), mIoU"
            f" {100 * self.miou:.2f} % against {100 * self.miou_fp32:.2f} %"
        )


def measure_agreement(
    checkpoint: Checkpoint,
    data: LabeledData,
    *,
    precision: Precision,
    split: str = "val",
    runtime: RuntimeName = "auto",
    device: str = "auto",
    threads: int = DEFAULT_THREADS,
    fit: Fit | None = None,
    on_progress: OnProgress = ignore_progress,
) -> MeasuredAgreement:
    """Return the agreement of masks in `precision` with those in fp32, and of both with the truth.

    All pixels are compared, including void; samples that cannot be loaded are left out.

    Raises:
        ConfigError: The precision is not lower or not available, the split does not exist, or there
            is no common class or labeled pixel.
        SampleError: No sample can be loaded.
    """
    if precision in ("auto", "fp32"):
        raise ConfigError(
            f"agreement: got {precision}, allowed are the lower precisions bf16, fp16 and int8"
        )
    samples = data.split(split)
    lower, fp32 = (
        Segmenter(checkpoint, runtime=runtime, device=device, precision=p, threads=threads, fit=fit)
        for p in (precision, "fp32")
    )
    comparison = _Comparison(Matching.of(data.labels, checkpoint.labels))
    corrupted: list[CorruptedSample] = []
    for sample, image in load_all(samples, corrupted, on_progress):
        comparison.add(sample.name, image, lower(image.rgb_HW3), fp32(image.rgb_HW3))
    engine = f"{lower.choice.runtime} on {lower.choice.device} ({platform.machine()})"
    num_frames = len(samples) - len(corrupted)
    where = f"{num_frames} frames of {Path(data.origin).name} {split}, {engine}"
    return comparison.measured(lower.choice.precision, where)


class _Comparison:
    """The counts over frames that were segmented in both precisions."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching
        self._lower, self._fp32 = matching.confusion(), matching.confusion()
        self._num_equal = self._num_pixels = 0
        self._worst = (math.inf, "")

    def add(
        self,
        name: str,
        image: LabeledImage,
        lower_HW: NDArray[np.uint8],
        fp32_HW: NDArray[np.uint8],
    ) -> None:
        truth_HW = self._matching.truth_ids[image.ids_HW]
        self._lower.add(self._matching.predicted_ids[lower_HW], truth_HW)
        self._fp32.add(self._matching.predicted_ids[fp32_HW], truth_HW)
        num_equal = int((lower_HW == fp32_HW).sum())
        self._num_equal += num_equal
        self._num_pixels += lower_HW.size
        self._worst = min(self._worst, (num_equal / lower_HW.size, name))

    def measured(self, precision: str, where: str) -> MeasuredAgreement:
        miou, miou_fp32 = self._lower.miou(), self._fp32.miou()
        if math.isnan(miou):
            raise ConfigError(f"agreement on {where}: no pixel of the frames has a class")
        pixels = round(self._num_equal / self._num_pixels, 5)
        agreement = Agreement(pixels, round(100 * (miou - miou_fp32), 3), where)
        share, name = self._worst
        return MeasuredAgreement(
            precision=precision,
            agreement=agreement,
            miou=miou,
            miou_fp32=miou_fp32,
            worst_frame=name,
            worst_frame_pixels=share,
        )
