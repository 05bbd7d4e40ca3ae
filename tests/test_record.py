"""The short form of the record: each kind of trial once, without a fault."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECORD = Path(__file__).parents[1] / "benchmarks" / "record.py"


def try_promises(out: Path, *trials: str) -> None:
    command = [sys.executable, str(RECORD), "-o", str(out), "--share", "0.005", "--only", *trials]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    portions = json.loads((out / "record.json").read_bytes())
    assert all(sum(portion["done"] for portion in portions[name]) >= 1 for name in trials)
    page = (out / "README.md").read_text()
    assert all(f"## {name}" in page for name in trials)


def test_processes_may_be_killed_and_inputs_damaged(tmp_path: Path) -> None:
    try_promises(tmp_path, "kills-view", "kills-publish", "kills-service", "broken-recordings")


def can_mount_a_disk(folder: Path) -> bool:
    """Tells whether there are the rights, the programs and the loop devices that it takes."""
    image, disk = folder / "try.img", folder / "try"
    disk.mkdir()
    image.touch()
    os.truncate(image, 2**24)
    commands = (
        ["mkfs.ext4", "-q", "-F", str(image)],
        ["mount", "-o", "loop", str(image), str(disk)],
    )
    try:
        for command in (*commands, ["umount", str(disk)]):
            subprocess.run(command, capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def test_the_power_may_be_cut(tmp_path: Path) -> None:
    if not can_mount_a_disk(tmp_path):
        pytest.skip("no disk can be mounted here")
    try_promises(tmp_path, "power-cuts")
