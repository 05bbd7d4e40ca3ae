"""Conversion of a foreign file to a checkpoint."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from icstream.model.checkpoint import Checkpoint
from icstream.model.errors import CheckpointError, ConfigError, ConversionError
from icstream.model.foreign.caffe_network import is_caffemodel, read_caffe_network
from icstream.model.foreign.matching import Foreign, match
from icstream.model.foreign.pickles import is_torch_file
from icstream.model.foreign.report import Report
from icstream.model.foreign.supervisely import (
    CONFIG,
    WEIGHTS,
    read_bare_weights,
    read_model_folder,
)
from icstream.model.labels import LabelSet

_MAX_FILE_BYTES = 2**30
"""The size limit of one file; the full-width network has 107 MB."""
_MAX_CONFIG_BYTES = 16 * 2**20
_CAFFE_SUFFIX = ".caffemodel"
_LOOKED_FOR = (
    "looked for a Supervisely model folder (config.json and model.pt), a state dict of PyTorch"
    " (.pt, .pth, .pkl) and a .caffemodel"
)


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """The result of converting a foreign file."""

    checkpoint: Checkpoint
    """The weights, whose `training` describes the foreign file."""
    report: Report
    """The outcome for each of the file's tensors."""


def convert(path: Path, *, classes: LabelSet | None = None) -> Converted:
    """Return foreign weights as a checkpoint, provided that they fill the network completely.

    Args:
        path: A Supervisely model folder, a state dict of the plugin or of pytorch-semseg, or a
            `.caffemodel` of ICNet's authors.
        classes: The classes in the order of the network's outputs; None: those of the file, or
            Cityscapes' for Cityscapes weights with 19 outputs.

    Raises:
        ConversionError: Tensors are missing, of another shape, or hold unusable values.
        CheckpointError: The file is damaged, of another kind or of another network, or its classes
            are unknown.
    """
    try:
        foreign, hashes = _read(path)
        labels = classes or foreign.labels
        if labels is None:
            raise CheckpointError(
                f"it does not name the classes of its {foreign.config().num_classes} outputs;"
                ' name them with --classes FILE.json, [["road", [128, 64, 128]], ...]'
            )
        checkpoint, report = match(foreign, labels)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}", error.report) from error
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    origin = {
        "from": report.source,
        "name": path.name,
        "sha256": hashes,
        "tensors": len(report.taken),
        "folded": dict(report.folded),
        "ignored": list(report.ignored),
        "notes": list(report.notes),
    }
    return Converted(replace(checkpoint, training={"converted": origin}), report)


def _read(path: Path) -> tuple[Foreign, dict[str, str]]:
    """Return the network in a file or folder, and the SHA-256 of each file that was read."""
    if path.is_dir():
        config = _content(path / CONFIG, _MAX_CONFIG_BYTES)
        weights = _content(path / WEIGHTS, _MAX_FILE_BYTES)
        return read_model_folder(config, weights), {CONFIG: _sha(config), WEIGHTS: _sha(weights)}
    content = _content(path, _MAX_FILE_BYTES)
    hashes = {path.name: _sha(content)}
    _refuse_safetensors(content)
    if is_torch_file(content):
        return read_bare_weights(content), hashes
    if path.suffix.lower() == _CAFFE_SUFFIX or is_caffemodel(content):
        return read_caffe_network(content), hashes
    raise CheckpointError(f"not recognized: {_LOOKED_FOR}")


def _content(path: Path, max_bytes: int) -> bytes:
    try:
        if not path.exists():
            raise CheckpointError(f"no {path.name} there; {_LOOKED_FOR}")
        if not path.is_file():
            raise CheckpointError(f"{path.name} is not a regular file")
        if path.stat().st_size > max_bytes:
            raise CheckpointError(f"{path.name} is larger than the allowed {max_bytes >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path.name}: {error.strerror or error}") from error


def _refuse_safetensors(content: bytes) -> None:
    """Raise CheckpointError for a safetensors file (8 bytes of length, then JSON)."""
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    if not (header.startswith(b"{") and length <= len(content) - 8):
        return
    try:
        values = json.loads(header)
        ours = "icstream" in values.get("__metadata__", {})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return
    if ours:
        raise CheckpointError("already a checkpoint of icstream; no conversion is needed")
    raise CheckpointError(f"a safetensors file of another program; {_LOOKED_FOR}")


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
