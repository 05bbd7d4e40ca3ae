"""Trials of cameras that run for hours, and of cameras that reconnect."""

from pathlib import Path

import soak

from reliability.trial import Outcome, Trial


def reconnect(count: int, seed: int, folder: Path) -> Outcome:
    """Start and kill an RTSP server repeatedly."""
    found = soak.reconnect(count)
    return Outcome(done=count, faults=found.faults, counts=found.counts, values=found.values)


def stand(count: int, seed: int, folder: Path) -> Outcome:
    """Run eight cameras for some minutes."""
    found = soak.cameras(count, num_cameras=8, rate=5)
    return Outcome(done=count, faults=found.faults, counts=found.counts, values=found.values)


TRIALS = (
    Trial(
        name="reconnects",
        promise="A camera that returns is connected within `backoff.cap_s`, and nothing grows.",
        unit="reconnections",
        target=1_000,
        portion=100,
        run=reconnect,
    ),
    Trial(
        name="soak",
        promise="After hours with eight cameras, memory, descriptors and threads are as at the"
        " start, and each camera has had an equal share.",
        unit="minutes",
        target=120,
        portion=120,
        run=stand,
    ),
)
