"""Folders of runs: those of runs that were killed are removed, and no others."""

import fcntl
from pathlib import Path

import pytest

from icstream.pipeline.run.runtime_dir import RuntimeDir

ENDED = 2**22 + 1
"""No process has such a number on Linux."""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives the folder in which runs make theirs."""
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


def test_a_run_holds_the_lock_of_its_folder() -> None:
    with RuntimeDir("ipc") as runtime_dir:
        folder = Path(runtime_dir.folder)
        with (folder / "lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not folder.exists()
