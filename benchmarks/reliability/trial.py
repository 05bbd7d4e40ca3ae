"""What a trial of the record is, and what comes of a portion of it."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from icstream.stages.streets import Street
from icstream.stages.streets.clip import write_clip
from support.commands import COMMAND

WEIGHTS = ("--weights", "streets")
ANY_RESTARTS = ("--set", "supervision.max_restarts=10000")
"""Workers may be killed as often as a trial likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a portion has shown."""

    done: int
    """How many of the trial's unit it did."""
    faults: Sequence[str] = ()
    """What was not as promised, a sentence each."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What it did and met by kind, for the table."""
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Measured values by name, for the plots and the largest of each for the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One promise and how it is tried."""

    name: str
    promise: str
    """What must hold, as a sentence of the page."""
    unit: str
    """What is counted, in the plural."""
    target: int
    portion: int
    """How many are done between two savings of the state."""
    run: Callable[[int, int, Path], Outcome]
    """Takes how many to do, a seed, and an empty folder."""


def make_clip(folder: Path, *, frames: int, size: tuple[int, int] = (120, 160)) -> Path:
    """Write a short recording of a rendered street; times are irregular."""
    path = folder / "street.mp4"
    write_clip(path, Street(3, size=size), num_frames=frames)
    return path


def run_quietly(source: Path, out: Path, *options: str) -> None:
    """Run the pipeline undisturbed.

    Raises:
        RuntimeError: it did not end well, so that there is nothing to compare with.
    """
    command = [*COMMAND, "run", str(source), "-o", str(out), *WEIGHTS, "--quiet", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"an undisturbed run ended with {done.returncode}: {done.stderr}")
