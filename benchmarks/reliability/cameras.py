"""Cameras for hours, and cameras that come and go."""

from pathlib import Path

import soak

from reliability.trial import Outcome, Trial


def reconnect(count: int, seed: int, folder: Path) -> Outcome:
    """Start and kill an RTSP server again and again."""
    found = soak.reconnect(count)
    return Outcome(done=count, faults=found.faults, counts=found.counts, values=found.values)


def stand(count: int, seed: int, folder: Path) -> Outcome:
    """Run eight cameras for some minutes."""
    found = soak.cameras(count, num_cameras=8, rate=5)
    return Outcome(done=count, faults=found.faults, counts=found.counts, values=found.values)


TRIALS = (
    Trial(
        name="reconnects",
        promise="A camera that went away is back within its backoff's cap; nothing grows.",
        unit="reconnections",
        target=1_000,
        portion=100,
        run=reconnect,
    ),
    Trial(
        name="soak",
        promise="Eight cameras for hours take the same memory, descriptors and threads at the end"
        " as at the start, and get equal shares.",
        unit="minutes",
        target=120,
        portion=120,
        run=stand,
    ),
)
