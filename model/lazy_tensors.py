"""Tensors of a safetensors file, converted to PyTorch when they are read."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


class StoredTensors(Mapping[str, "Tensor"]):
    """Tensors by name, from the entries that `safetensors.deserialize` returns."""

    def __init__(self, entries: list[tuple[str, dict[str, Any]]]) -> None:
        """Check and keep the entries.

        Raises:
            ValueError: A tensor does not hold floating-point numbers.
        """
        self._entries = dict(entries)
        for name in sorted(self._entries):
            kind = self._entries[name]["dtype"]
            if kind not in (*_TYPES, "BF16"):
                raise ValueError(f"{name} holds {kind}, floating-point numbers are needed")

    def __getitem__(self, name: str) -> "Tensor":
        import torch

        entry = self._entries[name]
        if entry["dtype"] in ("F16", "BF16"):
            kind = torch.float16 if entry["dtype"] == "F16" else torch.bfloat16
            return torch.frombuffer(bytearray(entry["data"]), dtype=kind).reshape(entry["shape"])
        return torch.from_numpy(self.float32(name).copy())

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(self._entries[name]["shape"])

    def float32(self, name: str) -> NDArray[np.float32]:
        """Return the values of a tensor."""
        entry = self._entries[name]
        if entry["dtype"] == "BF16":
            halves = np.frombuffer(entry["data"], np.uint16)
            return (halves.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
        values = np.frombuffer(entry["data"], _TYPES[entry["dtype"]])
        return values.reshape(entry["shape"]).astype(np.float32)
