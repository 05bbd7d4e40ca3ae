"""The state of a training run on disk, from which it can be resumed to identical weights."""

import io
import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from icstream.model import ConfigError
from icstream.model.files import write_atomically
from icstream.model.runtimes.cpu import cpu_name
from icstream.stages.train.ranks import Ranks

log = logging.getLogger(__name__)

STATE_FILE = "state.pt"
_FORMAT = 1
_KEYS = {"format", "progress", "told", "model", "optimiser", "scaler", "average"}
# The exceptions of `torch.load` on damaged files.
_UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError, UnpicklingError, LookupError),
    *(TypeError, AttributeError, AssertionError, ArithmeticError, MemoryError, struct.error),
)


@dataclass(slots=True, kw_only=True)
class TrainPosition:
    """The position of a run, in plain values."""

    step: int = 0
    """The number of completed steps of the optimizer."""
    lr: float = 0.0
    """The learning rate before the schedule's factor."""
    clock: dict[str, Any] = field(default_factory=dict)
    """The saved state of `ValidationClock`."""
    patience: dict[str, Any] = field(default_factory=dict)
    """The saved state of `Patience`."""
    num_validations: int = 0
    """The number of completed validations."""
    best: float | None = None
    """The best score so far."""
    failures: dict[str, str] = field(default_factory=dict)
    """The training samples that could not be used, and why."""


def environment(ranks: Ranks) -> dict[str, str]:
    """Return the environment that must be equal for identical results."""
    on_gpu = ranks.device.type == "cuda"
    device = torch.cuda.get_device_name(ranks.device) if on_gpu else cpu_name()
    return {
        "device": device,
        "torch": str(torch.__version__),
        "threads": str(torch.get_num_threads()),
        "ranks": str(ranks.count),
    }


def save_state(folder: Path, state: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> None:
    """Write the state atomically, even with respect to a power failure.

    Args:
        folder: The folder of the run.
        state: Tensors and plain values, with the position under "progress".
        fingerprint: The settings, data and environment, which are compared on resume.

    Raises:
        OSError: The state cannot be written; the old one is unchanged.
    """
    values = {
        "format": _FORMAT,
        "progress": state["progress"],
        "told": dict(fingerprint),
        **state,
    }
    # Given a path, PyTorch reports a full disk only as an unexpected position.
    content = io.BytesIO()
    torch.save(values, content)
    write_atomically(
        folder / STATE_FILE, lambda path: path.write_bytes(content.getbuffer()), durable=True
    )


def load_state(folder: Path) -> dict[str, Any]:
    """Return the state that `save_state` wrote, on the CPU.

    Raises:
        ConfigError: There is no state, or it cannot be read.
    """
    path = folder / STATE_FILE
    try:
        values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder}: it has no {STATE_FILE}, so there is nothing to resume"
        ) from error
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{path}: cannot be read ({reason})") from error
    if not isinstance(values, dict) or not values.keys() >= _KEYS:
        raise ConfigError(f"{path}: not the state of a training")
    if values["format"] != _FORMAT:
        raise ConfigError(f"{path}: written by another version of icstream; start a new run")
    return values


def check_fingerprint(
    folder: Path, fingerprint: Mapping[str, Any], ours: Mapping[str, Any]
) -> None:
    """Check that a run can be resumed here, and warn about changes that affect the last bits.

    Raises:
        ConfigError: The run was started with other settings, data, or another number of ranks.
    """
    for part, told, now in (
        ("settings", fingerprint["settings"], ours["settings"]),
        ("data", _without_content(fingerprint["data"]), _without_content(ours["data"])),
    ):
        if told != now:
            raise ConfigError(f"{folder}: was begun with other {part}; start a new run")
    _check_content(folder, fingerprint["data"].get("content", {}), ours["data"]["content"])
    before, now = fingerprint["environment"], ours["environment"]
    if before["ranks"] != now["ranks"]:
        raise ConfigError(
            f"{folder}: was begun with {before['ranks']} ranks, now there are {now['ranks']}"
        )
    for name, value in now.items():
        if before[name] != value:
            log.warning(
                "%s: was begun with %s %s, continues with %s; the weights will differ in the last"
                " bits",
                *(folder, name, before[name], value),
            )


def _without_content(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "content"}


def _check_content(
    folder: Path, before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> None:
    """Check that samples are unchanged, as far as they were measured both times.

    States of 0.1.0 do not contain their digests.

    Raises:
        ConfigError: A sample has changed; the text names it.
    """
    for split, digests in before.items():
        changed = [
            name for name, digest in digests.items() if now[split].get(name, digest) != digest
        ]
        if changed:
            raise ConfigError(
                f"{folder}: was begun with other data: images or labels of {len(changed)} samples"
                f" have changed, the first is {changed[0]!r}; start a new run"
            )
