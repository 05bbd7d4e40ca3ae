"""The network and what belongs to it: label sets, geometry, checkpoints, runtimes."""

from icstream.model.checkpoint import Agreement, Checkpoint, Preprocessing, random_checkpoint
from icstream.model.errors import (
    CheckpointError,
    ConfigError,
    IcstreamError,
    SourceError,
    StageError,
)
from icstream.model.geometry import Axis, Fit, Geometry
from icstream.model.icnet import ICNet, ICNetConfig
from icstream.model.labels import CAMVID, CITYSCAPES, LabelSet
from icstream.model.scores import Scores

__all__ = [
    "CAMVID",
    "CITYSCAPES",
    "Agreement",
    "Axis",
    "Checkpoint",
    "CheckpointError",
    "ConfigError",
    "Fit",
    "Geometry",
    "ICNet",
    "ICNetConfig",
    "IcstreamError",
    "LabelSet",
    "Preprocessing",
    "Scores",
    "SourceError",
    "StageError",
    "random_checkpoint",
]
