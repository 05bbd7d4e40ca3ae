"""The network and what belongs to it: label sets, geometry, checkpoints, runtimes."""

from icstream.model.errors import (
    CheckpointError,
    ConfigError,
    IcstreamError,
    SourceError,
    StageError,
)
from icstream.model.geometry import Axis, Fit, Geometry
from icstream.model.labels import CAMVID, CITYSCAPES, LabelSet
from icstream.model.scores import Scores

__all__ = [
    "CAMVID",
    "CITYSCAPES",
    "Axis",
    "CheckpointError",
    "ConfigError",
    "Fit",
    "Geometry",
    "IcstreamError",
    "LabelSet",
    "Scores",
    "SourceError",
    "StageError",
]
