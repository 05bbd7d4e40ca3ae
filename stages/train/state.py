"""The state of a training run on disk: all that going on takes, to the same weights bit for bit."""

import logging
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
    """
    values = {
        "format": _FORMAT,
        "progress": state["progress"],
        "told": dict(fingerprint),
        **state,
    }
    write_atomically(folder / STATE_FILE, lambda path: torch.save(values, path), durable=True)


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
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{path}: cannot be read ({reason})") from error
    if values.get("format") != _FORMAT:
        raise ConfigError(f"{path}: written by another version of icstream; start a new run")
    return values


def check_fingerprint(
    folder: Path, fingerprint: Mapping[str, Any], ours: Mapping[str, Any]
) -> None:
    """Check that a run may go on here, and warn of what will change the last bits.

    Raises:
        ConfigError: it was begun with other settings, data, or another number of ranks.
    """
    for part in ("settings", "data"):
        if fingerprint[part] != ours[part]:
            raise ConfigError(f"{folder}: was begun with other {part}; start a new run")
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
