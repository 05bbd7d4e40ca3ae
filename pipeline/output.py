"""The folder that a run writes into."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from icstream.model import ConfigError
from icstream.model.files import write_atomically

REPORT = "report.json"
MANIFEST = "run.json"
"""What fixes the results of a run, written when it begins."""


def begin_manifest(folder: Path, values: Mapping[str, Any], *, resume: bool) -> None:
    """Writes the manifest of a new run, or compares that of the one to be resumed.

    Raises:
        ConfigError: the run to be resumed had other settings, weights or sources, or is not there.
    """
    path = folder / MANIFEST
    if not resume or not path.exists():
        if resume and any(folder.iterdir()):
            raise ConfigError(f"output {folder}: no {MANIFEST} in it, so no run to resume")
        write_json(values, path)
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: damaged; start again with --overwrite") from error
    different = [key for key in values if earlier.get(key) != values[key]]
    if different:
        raise ConfigError(
            f"output {folder}: the run there had other {', '.join(different)};"
            " resume with the same, or start again with --overwrite"
        )


def check_output(folder: Path, *, overwrite: bool, resume: bool = False) -> None:
    """Looks whether a run may write into the folder, and changes nothing.

    Raises:
        ConfigError: it is a file, or in use and neither `overwrite` nor `resume` was given.
    """
    if overwrite and resume:
        raise ConfigError("--overwrite and --resume contradict one another; give one of them")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output {folder}: is a file, a folder is needed")
    if not overwrite and not resume and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(
            f"output {folder}: not empty; choose another folder, --overwrite to replace,"
            " or --resume to go on with an interrupted run"
        )


def prepare_output(
    folder: Path, streams: Iterable[str], *, overwrite: bool, resume: bool = False
) -> None:
    """Makes the folder ready.

    With `overwrite`, what an earlier run of these streams wrote is removed.

    Raises:
        ConfigError: as `check_output`, or it cannot be written.
    """
    check_output(folder, overwrite=overwrite, resume=resume)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        if resume:
            return
        for name in (REPORT, MANIFEST):
            (folder / name).unlink(missing_ok=True)
        for name in streams:
            if (folder / name).is_dir():
                _remove_results(folder / name)
    except OSError as error:
        raise ConfigError(f"output {folder}: cannot be written ({error.strerror})") from error


def _remove_results(folder: Path) -> None:
    """Removes what sinks write and nothing else, in case the folder holds a user's own files."""
    videos = ("masks.mp4", "masks.*.mp4", "overlay.mp4", "overlay.*.mp4")
    for pattern in (*videos, "masks.jsonl", "areas.csv", "events.jsonl", "events.state"):
        for path in folder.glob(pattern):
            path.unlink()
    for name in ("masks", "rolling", "supervisely"):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write a JSON file; a reader sees the old one or the new one, never half of it."""
    text = json.dumps(values, indent=2) + "\n"
    write_atomically(path, text.encode(), durable=False)
