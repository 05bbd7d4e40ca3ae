"""The network, its label sets, geometry, checkpoints and runtimes.

Whatever needs PyTorch is imported on first use, so that `icstream --help` and processes that only
move frames start without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from icstream.model import telemetry as _telemetry
from icstream.model.errors import (
    CheckpointError,
    ConfigError,
    ConversionError,
    IcstreamError,
    SourceError,
    StageError,
)
from icstream.model.geometry import Axis, Fit, Geometry
from icstream.model.labels import CAMVID, CITYSCAPES, LabelSet
from icstream.model.network_input import prepare_input
from icstream.model.renamed import renamed_arguments, warn_renamed
from icstream.model.scores import Scores

if TYPE_CHECKING:
    from icstream.model.checkpoint import Agreement, Checkpoint, Preprocessing, random_checkpoint
    from icstream.model.foreign import Converted, convert
    from icstream.model.icnet import ICNet
    from icstream.model.icnet_config import ICNetConfig
    from icstream.model.pretrained import load_weights, weight_names
    from icstream.model.segmenter import Segmenter

__all__ = [
    "CAMVID",
    "CITYSCAPES",
    "Agreement",
    "Axis",
    "Checkpoint",
    "CheckpointError",
    "ConfigError",
    "ConversionError",
    "Converted",
    "Fit",
    "Geometry",
    "ICNet",
    "ICNetConfig",
    "IcstreamError",
    "LabelSet",
    "Preprocessing",
    "Scores",
    "Segmenter",
    "SourceError",
    "StageError",
    "convert",
    "load_weights",
    "prepare_input",
    "random_checkpoint",
    "weight_names",
]

_telemetry.turn_off()

_WITH_TORCH = {
    "Agreement": "checkpoint",
    "Checkpoint": "checkpoint",
    "Converted": "foreign",
    "ICNet": "icnet",
    "ICNetConfig": "icnet_config",
    "Preprocessing": "checkpoint",
    "Segmenter": "segmenter",
    "convert": "foreign",
    "load_weights": "pretrained",
    "random_checkpoint": "checkpoint",
    "weight_names": "pretrained",
}


def __getattr__(name: str) -> Any:
    if name == "prepare":
        warn_renamed("icstream.model.prepare", "icstream.model.prepare_input")
        names = {"picture_HW3": "image_HW3", "mean_colour": "mean_color"}
        return renamed_arguments(**names)(prepare_input)
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
