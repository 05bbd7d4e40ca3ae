"""Inference over annotated projects: modes, crops, and the merging of objects."""

from icstream.stages.annotate.crops import MisfitError
from icstream.stages.annotate.image import (
    Annotated,
    Predict,
    PredictMany,
    annotate,
    annotate_image,
)
from icstream.stages.annotate.mode_parser import parse_mode, resolve_mode
from icstream.stages.annotate.modes import MODES, Mode
from icstream.stages.annotate.plan import AnnotationPlan, ModelClasses, make_plan

__all__ = [
    "MODES",
    "Annotated",
    "AnnotationPlan",
    "MisfitError",
    "Mode",
    "ModelClasses",
    "Predict",
    "PredictMany",
    "annotate",
    "annotate_image",
    "make_plan",
    "parse_mode",
    "resolve_mode",
]
