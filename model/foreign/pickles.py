"""Opening of PyTorch's files without running code in them."""

import io
import pickle
import pickletools
import warnings
import zipfile
from typing import Any

import numpy as np
import torch

from icstream.model.errors import CheckpointError

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_MAX_PICKLE_BYTES = 64 * 2**20
"""The size limit of the pickle in a zip, which holds no tensor data; real ones have some 100 KB."""
_NUM_PICKLES = 4
"""Files other than zips consist of a number, a version, a description, and the content."""
_SAFE: list[Any] = [
    # Training loops save metrics such as "best_iou" as numpy scalars, which are harmless.
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
]


class UnsafeError(Exception):
    """The file holds objects besides tensors and plain values, which were not created."""


def is_torch_file(content: bytes) -> bool:
    """Return whether the content begins like a zip or a pickle."""
    return content.startswith((_ZIP, _PICKLE))


def load_safely(content: bytes) -> Any:
    """Return the content of a file of `torch.save` that holds only tensors and plain values.

    Raises:
        UnsafeError: The file holds other objects.
        CheckpointError: The file is damaged, or not a PyTorch file.
    """
    try:
        if content.startswith(_ZIP):
            _check_sizes(content)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_SAFE):
            warnings.simplefilter("ignore")  # about types of tensors that are refused later
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            raise UnsafeError(str(error)) from error
        raise CheckpointError("damaged, or not a PyTorch file") from error
    except CheckpointError:
        raise
    except Exception as error:  # damaged bytes make the unpickler raise any exception
        raise CheckpointError(f"damaged, or not a PyTorch file ({type(error).__name__})") from error


def strings_in(content: bytes) -> set[str]:
    """Return the strings in the pickle, including tensor names, without running any of it."""
    found = set()
    try:
        stream = io.BytesIO(_pickle(content))
        for _ in range(_NUM_PICKLES):
            found |= {arg for _, arg, _ in pickletools.genops(stream) if isinstance(arg, str)}
    except (ValueError, LookupError, OverflowError, zipfile.BadZipFile, OSError):
        pass  # keep what was found so far
    return found


def _pickle(content: bytes) -> bytes:
    if not content.startswith(_ZIP):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        return archive.read(names[0]) if names else b""


def _check_sizes(content: bytes) -> None:
    """Refuse compressed zips, which PyTorch does not write.

    Raises:
        CheckpointError: The members are larger than the file, or the pickle is too large.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
    if sum(part.file_size for part in parts) > len(content):
        raise CheckpointError("a compressed zip, which PyTorch does not write")
    if any(p.filename.endswith(".pkl") and p.file_size > _MAX_PICKLE_BYTES for p in parts):
        raise CheckpointError(f"a pickle of more than {_MAX_PICKLE_BYTES >> 20} MiB")
