"""Evaluation of a checkpoint's masks against labeled images."""

from typing import Any

from icstream.model.renamed import warn_renamed
from icstream.stages.evaluate.agreement import MeasuredAgreement, measure_agreement
from icstream.stages.evaluate.calibration import calibrate_on
from icstream.stages.evaluate.confusion_image import draw_confusion
from icstream.stages.evaluate.evaluation import CorruptedSample, Evaluation, FrameScore
from icstream.stages.evaluate.frame_sheet import draw_frame_sheet
from icstream.stages.evaluate.matching import Matching
from icstream.stages.evaluate.report import evaluation_report, summary
from icstream.stages.evaluate.scoring import evaluate_dataset

__all__ = [
    "CorruptedSample",
    "Evaluation",
    "FrameScore",
    "Matching",
    "MeasuredAgreement",
    "calibrate_on",
    "draw_confusion",
    "draw_frame_sheet",
    "evaluate_dataset",
    "evaluation_report",
    "measure_agreement",
    "summary",
]


def __getattr__(name: str) -> Any:
    if name != "evaluate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = "icstream.stages.evaluate.evaluate_dataset"
    warn_renamed("icstream.stages.evaluate.evaluate", new)
    return evaluate_dataset
