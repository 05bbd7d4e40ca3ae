"""Folders of runs: those of runs that were killed are removed, and no others."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from icstream.pipeline.run.runtime_dir import RuntimeDir

ENDED = 2**22 + 1
"""No process has such a number on Linux."""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which runs make theirs."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def folder_of_a_run(parent: Path) -> Path:
    folder = parent / f"icstream-{ENDED}-abc"
    folder.mkdir()
    (folder / "lock").touch()
    return folder


def test_the_folder_of_a_run_that_was_killed_is_removed(parent: Path) -> None:
    folder = folder_of_a_run(parent)
    with RuntimeDir("ipc"):
        assert not folder.exists()


def test_the_folder_of_a_run_that_goes_on_elsewhere_is_left(parent: Path) -> None:
    folder = folder_of_a_run(parent)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with RuntimeDir("ipc"):
            assert folder.exists()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_link(path: Path) -> None:
    (path.parent.parent / "elsewhere").touch()
    path.symlink_to(path.parent.parent / "elsewhere")


@pytest.mark.parametrize("make", [make_fifo, make_link, Path.mkdir])
def test_what_anybody_else_may_put_into_the_temporary_folder_is_left_and_waited_for_by_nobody(
    parent: Path, make: Callable[[Path], None]
) -> None:
    folder = parent / f"icstream-{ENDED}-evil"
    folder.mkdir()
    make(folder / "lock")
    os.mkfifo(parent / f"icstream-{ENDED}-fifo")
    (parent / f"icstream-{10**30}-number").mkdir()
    with RuntimeDir("ipc"):
        assert (folder / "lock").exists()


def test_the_folder_of_another_user_is_left(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of_a_run(parent)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with RuntimeDir("ipc"):
        assert folder.exists()


def test_a_run_holds_the_lock_of_its_folder() -> None:
    with RuntimeDir("ipc") as runtime_dir:
        folder = Path(runtime_dir.folder)
        with (folder / "lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not folder.exists()
