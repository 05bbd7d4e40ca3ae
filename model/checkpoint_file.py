"""Checkpoint files: safetensors, with the metadata as JSON in the header."""

import json
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, deserialize

from icstream.model.activation_ranges import Ranges
from icstream.model.checkpoint import Agreement, Checkpoint, Preprocessing
from icstream.model.errors import CheckpointError, ConfigError
from icstream.model.files import write_atomically
from icstream.model.geometry import Fit
from icstream.model.icnet_config import ICNetConfig
from icstream.model.labels import LabelSet
from icstream.model.lazy_tensors import StoredTensors
from icstream.model.memory import MB, available_bytes

FORMAT_VERSION = 1
_HEADER_KEY = "icstream"
_COPIES = 3
"""Memory for reading a checkpoint, in multiples of its file's size."""
# The errors that values of unexpected types, sizes and depths have raised.
_DAMAGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint in a file after checking that its tensors fit its network.

    Raises:
        CheckpointError: The file is not safetensors, was not written by icstream, or its tensors do
            not fit the network that the header describes.
    """
    try:
        num_bytes, available = _COPIES * path.stat().st_size, available_bytes()
        if num_bytes > available:
            raise CheckpointError(
                f"{path}: reading it takes {num_bytes // MB:,} MB of memory,"
                f" {available // MB:,} MB are available"
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from error
    return checkpoint_from_bytes(content, name=str(path))


def checkpoint_from_bytes(content: bytes, *, name: str) -> Checkpoint:
    """Return the checkpoint that the content of a file holds.

    Args:
        content: The content of the file.
        name: The name of the file, for error messages.

    Raises:
        CheckpointError: As for `read_checkpoint`.
    """
    try:
        entries = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise CheckpointError(f"{name}: not a safetensors file ({error})") from error
    header = _metadata(content).get(_HEADER_KEY)
    if header is None:
        raise CheckpointError(
            f"{name}: it has no icstream header; convert foreign weights first (icstream convert)"
        )
    try:
        tensors = StoredTensors(entries)
    except ValueError as error:
        raise CheckpointError(f"{name}: {error}") from error
    checkpoint = _from_header(name, header, tensors)
    problems = checkpoint.problems()
    if problems:
        raise CheckpointError(f"{name}: {'; '.join(problems)}")
    return checkpoint


def write_checkpoint(checkpoint: Checkpoint, path: Path, *, durable: bool) -> None:
    """Write a checkpoint file atomically.

    Args:
        checkpoint: The checkpoint to write.
        path: The path of the file, in a folder that exists.
        durable: Return only once the file would survive a power failure.
    """
    write_atomically(path, checkpoint_to_bytes(checkpoint), durable=durable)


def checkpoint_to_bytes(checkpoint: Checkpoint) -> bytes:
    """Return the content of a file with the checkpoint."""
    from safetensors.torch import save

    header = {
        "version": FORMAT_VERSION,
        "network": asdict(checkpoint.config),
        "classes": list(zip(checkpoint.labels.names, checkpoint.labels.colors, strict=True)),
        "preprocessing": asdict(checkpoint.preprocessing),
        "training": dict(checkpoint.training),
        "agreement": {name: asdict(value) for name, value in checkpoint.agreement.items()},
        "fit": asdict(checkpoint.fit),
        "ranges": None if checkpoint.ranges is None else asdict(checkpoint.ranges),
    }
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    return save(tensors, metadata={_HEADER_KEY: json.dumps(header)})


def _metadata(content: bytes) -> dict[str, str]:
    """Return the metadata in the header: 8 bytes of length, then JSON (safetensors' format)."""
    (length,) = struct.unpack("<Q", content[:8])
    found = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return found if isinstance(found, dict) else {}


def _from_header(name: str, header: str, tensors: StoredTensors) -> Checkpoint:
    try:
        values = json.loads(header)
        version = values["version"]
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{name}: written in format {version}, this icstream reads {FORMAT_VERSION}"
            )
        preprocessing = values["preprocessing"]
        return Checkpoint(
            config=ICNetConfig(**values["network"]),
            labels=LabelSet.from_values(values["classes"]),
            tensors=tensors,
            preprocessing=Preprocessing(
                tuple(preprocessing["mean_rgb"]),
                tuple(preprocessing["std_rgb"]),
                preprocessing["order"],
            ),
            training=values["training"],
            agreement={k: Agreement(**v) for k, v in values["agreement"].items()},
            fit=_fit(values.get("fit", {})),
            ranges=Ranges(**values["ranges"]) if values.get("ranges") else None,
        )
    except CheckpointError:
        raise
    except ConfigError as error:
        raise CheckpointError(f"{name}: {error}") from error
    except _DAMAGED as error:
        raise CheckpointError(f"{name}: damaged header: {error!r}") from error


def _fit(values: dict[str, Any]) -> Fit:
    size = values.get("size")
    return Fit(**{**values, "size": None if size is None else (int(size[0]), int(size[1]))})
