"""The trials of the record, and the outcomes of their portions."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from icstream.stages.streets import Street
from icstream.stages.streets.clip import write_clip
from support.commands import COMMAND

WEIGHTS = ("--weights", "streets")
ANY_RESTARTS = ("--set", "supervision.max_restarts=10000")
"""The options that allow any number of kills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a portion."""

    done: int
    """The number completed, in the trial's unit."""
    faults: Sequence[str] = ()
    """The deviations from the promise, one sentence each."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """The numbers of events by kind, for the table."""
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """The measured values by name, for plots and the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trial of one promise."""

    name: str
    promise: str
    """The promise, as a sentence of the page."""
    unit: str
    """The unit of the count, in the plural."""
    target: int
    portion: int
    """The number in each portion, after which the state is saved."""
    run: Callable[[int, int, Path], Outcome]
    """The function that runs a portion, from its number, a seed, and an empty folder."""


def make_clip(folder: Path, *, frames: int, size: tuple[int, int] = (120, 160)) -> Path:
    """Write a short recording of a rendered street with irregular times."""
    path = folder / "street.mp4"
    write_clip(path, Street(3, size=size), num_frames=frames)
    return path


def run_quietly(source: Path, out: Path, *options: str) -> None:
    """Run the pipeline undisturbed.

    Raises:
        RuntimeError: It failed, so that there is nothing to compare with.
    """
    command = [*COMMAND, "run", str(source), "-o", str(out), *WEIGHTS, "--quiet", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"an undisturbed run ended with {done.returncode}: {done.stderr}")
