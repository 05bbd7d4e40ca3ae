"""Trials of power cuts, by a file system that loses unflushed data during a run."""

import fcntl
import os
import random
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos import contents

from reliability.trial import WEIGHTS, Outcome, Trial, make_clip, run_quietly
from support.background import Background

_SHUTDOWN = 0x8004587D
"""Linux's ioctl EXT4_IOC_SHUTDOWN, after which no block is written, as in a power cut."""
_WITHOUT_JOURNAL = 2
"""Its flag that also discards the journal (EXT4_GOING_FLAGS_NOLOGFLUSH)."""
_DISK_BYTES = 192 * 2**20
_SINKS = ("masks", "overlay", "png", "rle", "areas", "supervisely")
_OPTIONS = (*WEIGHTS, "--quiet", *(word for sink in _SINKS for word in ("--sink", sink)))


def cut_power(count: int, seed: int, folder: Path) -> Outcome:
    """Cut the power of the results' disk at random moments, then continue with `--resume`.

    Needs root and a loop device.
    """
    dice = random.Random(f"power {seed}")
    source, calm = make_clip(folder, frames=300), folder / "calm"
    begin = time.monotonic()
    run_quietly(source, calm, *_OPTIONS)
    calm_s = time.monotonic() - begin
    expected = contents(calm)
    faults: list[str] = []
    cuts = nothing_kept = 0
    while cuts < count and len(faults) < 10:
        image = _make_disk(folder)
        for _ in range(min(dice.randint(1, 3), count - cuts)):
            with _mounted(image) as disk, _run(source, disk / "out") as run:
                time.sleep(dice.uniform(0.5, 1.2 * calm_s))
                _cut(disk)
                run.process.kill()
                cuts += 1
        with _mounted(image) as disk:
            out = disk / "out"
            nothing_kept += not (out / "run.json").exists()
            with _run(source, out) as run:
                code = run.process.wait()
            if code:
                faults.append(f"after {cuts} cuts: exit code {code}: {run.log[-500:]}")
            elif contents(out) != expected:
                faults.append(
                    f"after {cuts} cuts: the results differ from those of an undisturbed run"
                )
    counts = {"cuts before anything was kept": nothing_kept}
    return Outcome(done=cuts, faults=faults, counts=counts)


def _run(source: Path, out: Path) -> Background:
    """Begin a run, or resume it."""
    how = ["--resume"] if (out / "run.json").exists() else []
    return Background("run", source, "-o", out, *_OPTIONS, *how)


def _cut(disk: Path) -> None:
    """Make the file system lose unflushed data and refuse further access."""
    folder = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", _WITHOUT_JOURNAL))
    finally:
        os.close(folder)


def _make_disk(folder: Path) -> Path:
    """Return an image of an empty ext4 file system."""
    image = folder / "disk.img"
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(_DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    return image


@contextmanager
def _mounted(image: Path) -> Iterator[Path]:
    """Mount an image beside itself, which replays the journal as after a power cut."""
    disk = image.with_name("disk")
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=True)
    try:
        yield disk
    finally:
        _unmount(disk)


def _unmount(disk: Path) -> None:
    """Unmount a disk once the last killed process has released it."""
    deadline = time.monotonic() + 30
    while subprocess.run(["umount", str(disk)], stderr=subprocess.DEVNULL, check=False).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{disk} is still in use")
        time.sleep(0.1)


TRIALS = (
    Trial(
        name="power-cuts",
        promise="After a power cut, --resume continues the run to the same results. What was not on"
        " the disk yet is made again.",
        unit="power cuts",
        target=200,
        portion=20,
        run=cut_power,
    ),
)
