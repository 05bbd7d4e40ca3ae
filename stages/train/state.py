"""The state of a training run on disk: all that going on takes, to the same weights bit for bit."""

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
# What `torch.load` has been seen to raise on damaged files.
_UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError, UnpicklingError, LookupError),
    *(TypeError, AttributeError, AssertionError, ArithmeticError, MemoryError, struct.error),
)


@dataclass(slots=True, kw_only=True)
class TrainPosition:
    """How far a run has come, in plain values."""

    step: int = 0
    """The optimizer's steps that are done."""
    lr: float = 0.0
    """The learning rate before the schedule's factor."""
    clock: dict[str, Any] = field(default_factory=dict)
    """The state of `ValidationClock`, when this is saved."""
    patience: dict[str, Any] = field(default_factory=dict)
    """The state of `Patience`, when this is saved."""
    num_validations: int = 0
    """The validations that are done."""
    best: float | None = None
    """The best score so far."""
    failures: dict[str, str] = field(default_factory=dict)
    """Training samples that could not be used, and why."""


def environment(ranks: Ranks) -> dict[str, str]:
    """Return what must be the same for the same bits."""
    on_gpu = ranks.device.type == "cuda"
    device = torch.cuda.get_device_name(ranks.device) if on_gpu else cpu_name()
    return {
        "device": device,
        "torch": str(torch.__version__),
        "threads": str(torch.get_num_threads()),
        "ranks": str(ranks.count),
    }


def save_state(folder: Path, state: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> None:
    """Write the state; a reader sees the old one or the new one, even after a loss of power.

    Args:
        folder: of the run.
        state: tensors and plain values; "progress" is how far the run is.
        fingerprint: settings, data and environment, to be compared when the run goes on.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    values = {
        "format": _FORMAT,
        "progress": state["progress"],
        "told": dict(fingerprint),
        **state,
    }
    # PyTorch, given a path, tells nothing of a full disk but that a position is not the expected.
    content = io.BytesIO()
    torch.save(values, content)
    write_atomically(
        folder / STATE_FILE, lambda path: path.write_bytes(content.getbuffer()), durable=True
    )


def load_state(folder: Path) -> dict[str, Any]:
    """Return what `save_state` wrote, on the CPU.

    Raises:
        ConfigError: there is no state, or it cannot be read.
    """
    path = folder / STATE_FILE
    try:
        values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder}: no {STATE_FILE} in it, so there is nothing to resume"
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
    """Check that a run may go on here, and warn of what will change the last bits.

    Raises:
        ConfigError: it was begun with other settings, data, or another number of ranks.
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
                "%s: was begun with %s %s, goes on with %s; the weights will not be the same to"
                " the last bit",
                *(folder, name, before[name], value),
            )


def _without_content(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "content"}


def _check_content(
    folder: Path, before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> None:
    """Check that samples are what they were, as far as they were looked at both times.

    States of 0.1.0 do not tell it.

    Raises:
        ConfigError: one is another; it is named.
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
