"""A folder has one owner at a time."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.model.folder_lock import FolderLock


def test_a_second_owner_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(ConfigError, match=r"in use.*another folder"):
        FolderLock(tmp_path)
    FolderLock(tmp_path).close()
    assert os.listdir(tmp_path) == []


def test_the_lock_lasts_as_long_as_a_child_that_inherits_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with subprocess.Popen(["sleep", "60"], pass_fds=lock.descriptors) as child:
        lock.close()
        with pytest.raises(ConfigError, match="in use"):
            FolderLock(tmp_path)
        child.kill()
    FolderLock(tmp_path).close()


def test_a_killed_owner_holds_nothing(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, icstream.model.folder_lock as m\n"
        "lock = m.FolderLock(pathlib.Path(sys.argv[1]))\nprint('locked', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"locked\n"
        with pytest.raises(ConfigError, match="in use"):
            FolderLock(tmp_path)
        owner.send_signal(signal.SIGKILL)
    FolderLock(tmp_path).close()


def test_a_file_system_without_locks_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with FolderLock(tmp_path) as lock:
        assert lock.descriptors == ()
    assert "has no locks" in caplog.text
