"""Weights by name: those shipped with the package, and untrained ones."""

import difflib
from importlib.resources import files
from pathlib import Path

from icstream.model import cache
from icstream.model.checkpoint import Checkpoint, random_checkpoint
from icstream.model.errors import CheckpointError

DEFAULT = "camvid"
"""The default weights."""
RANDOM = "random"
_RANDOM_FILE = "random-1.bin"


def weight_names() -> list[str]:
    """Return the names that `load_weights` accepts besides file paths."""
    shipped = files("icstream.model") / "weights"
    files_there = list(shipped.iterdir()) if shipped.is_dir() else []
    names = [Path(f.name).stem for f in files_there if f.name.endswith(".safetensors")]
    return [*sorted(names), RANDOM]


def load_weights(name_or_path: str) -> Checkpoint:
    """Return the checkpoint with a name, or the one in a file.

    Raises:
        CheckpointError: The argument is neither a name nor a usable file; the text lists the names.
    """
    path = find_weights(name_or_path)
    return _random_weights() if path is None else Checkpoint.load(path)


def find_weights(name_or_path: str) -> Path | None:
    """Return the file of weights, or None for untrained ones.

    Raises:
        CheckpointError: The argument is neither a name nor a file; the text lists the names.
    """
    if name_or_path == RANDOM:
        return None
    if name_or_path in weight_names():
        return Path(str(files("icstream.model") / "weights" / f"{name_or_path}.safetensors"))
    path = Path(name_or_path)
    if not path.is_file():
        near = difflib.get_close_matches(name_or_path, weight_names(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise CheckpointError(
            f"weights {name_or_path}: no such file, and no weights of that name"
            f" (known: {', '.join(weight_names())}){hint}"
        )
    return path


def _random_weights() -> Checkpoint:
    """Return untrained weights, without PyTorch if they are cached."""
    from icstream.model.checkpoint_file import checkpoint_from_bytes, checkpoint_to_bytes

    content = cache.load(_RANDOM_FILE)
    if content is None:
        content = checkpoint_to_bytes(random_checkpoint())
        cache.store(_RANDOM_FILE, content)
    return checkpoint_from_bytes(content, name=RANDOM)
