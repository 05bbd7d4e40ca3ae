"""The folder that a run writes into."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from icstream.model import ConfigError

REPORT = "report.json"


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Looks whether a run may write into the folder, and changes nothing.

    Raises:
        ConfigError: it is a file, or in use and `overwrite` was not given.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output {folder}: is a file, a folder is needed")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(
            f"output {folder}: not empty; choose another folder, or --overwrite to replace"
        )


def prepare_output(folder: Path, streams: Iterable[str], *, overwrite: bool) -> None:
    """Makes the folder ready; with `overwrite`, removes what an earlier run of these streams wrote.

    Raises:
        ConfigError: as `check_output`, or it cannot be written.
    """
    check_output(folder, overwrite=overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        (folder / REPORT).unlink(missing_ok=True)
        for name in streams:
            if (folder / name).is_dir():
                _remove_results(folder / name)
    except OSError as error:
        raise ConfigError(f"output {folder}: cannot be written ({error.strerror})") from error


def _remove_results(folder: Path) -> None:
    """Removes what sinks write and nothing else, in case the folder holds a user's own files."""
    videos = ("masks.mp4", "masks.*.mp4", "overlay.mp4", "overlay.*.mp4")
    for pattern in (*videos, "masks.jsonl", "areas.csv"):
        for path in folder.glob(pattern):
            path.unlink()
    for name in ("masks", "supervisely"):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
