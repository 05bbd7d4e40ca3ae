"""Evaluation: how well a checkpoint's masks agree with labelled images."""

from icstream.stages.evaluate.agreement import AgreementFigures, measure_agreement
from icstream.stages.evaluate.calibration import calibrate_on
from icstream.stages.evaluate.confusion_picture import draw_confusion
from icstream.stages.evaluate.evaluation import CorruptedSample, Evaluation, FrameScore
from icstream.stages.evaluate.frame_sheet import draw_frame_sheet
from icstream.stages.evaluate.matching import Matching
from icstream.stages.evaluate.report import report, summary
from icstream.stages.evaluate.scoring import evaluate_dataset

__all__ = [
    "AgreementFigures",
    "CorruptedSample",
    "Evaluation",
    "FrameScore",
    "Matching",
    "calibrate_on",
    "draw_confusion",
    "draw_frame_sheet",
    "evaluate_dataset",
    "measure_agreement",
    "report",
    "summary",
]
