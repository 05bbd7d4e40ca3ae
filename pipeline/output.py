"""Where results are written: checks before anything starts, manifests, JSON files."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from icstream.model.errors import ConfigError
from icstream.model.files import write_atomically

REPORT = "report.json"
MANIFEST = "run.json"
"""Holds what determines the results of a run; written when it begins."""


def begin_manifest(folder: Path, values: Mapping[str, Any], *, resume: bool) -> None:
    """Write the manifest of a new run, or compare it with that of the run to be resumed.

    Raises:
        ConfigError: the run to be resumed had other settings, weights or sources, or there is none.
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
    ours = json.loads(json.dumps(values))  # as it is read back: tuples have become lists
    different = [key for key in ours if earlier.get(key) != ours[key]]
    if different:
        raise ConfigError(
            f"output {folder}: the run there had other {', '.join(different)};"
            " resume with the same, or start again with --overwrite"
        )


def check_output_folder(
    folder: Path,
    *,
    overwrite: bool,
    resume: bool = False,
    can_resume: bool = True,
    results: Sequence[str] | None = None,
) -> None:
    """Check that results may be written into a folder; nothing is changed.

    Args:
        folder: need not exist.
        overwrite: earlier results may be replaced.
        resume: earlier results are continued.
        can_resume: the command has `--resume`, which the error then names.
        results: names of files that count as earlier results; None: all that is in the folder.

    Raises:
        ConfigError: it is a file, or in use and neither `overwrite` nor `resume` was given.
    """
    if overwrite and resume:
        raise ConfigError("--overwrite and --resume contradict one another; give one of them")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output {folder}: is a file, a folder is needed")
    if overwrite or resume or not folder.is_dir():
        return
    if results is None and any(folder.iterdir()):
        hint = "or --overwrite to replace"
        if can_resume:
            hint = "--overwrite to replace, or --resume to go on with an interrupted run"
        raise ConfigError(f"output {folder}: not empty; choose another folder, {hint}")
    found = [name for name in results or () if (folder / name).exists()]
    if found:
        raise ConfigError(
            f"output {folder}: has {', '.join(found)} in it; choose another folder, or --overwrite"
        )


def check_output_files(
    files: Iterable[Path], *, overwrite: bool, source: Path | None = None
) -> None:
    """Check that results may be written into files.

    Args:
        files: need not exist.
        overwrite: they may be replaced.
        source: is read, so it may not be replaced.

    Raises:
        ConfigError: one is a folder or the source, or exists and `overwrite` was not given.
    """
    for file in files:
        if file.is_dir():
            raise ConfigError(f"output {file}: is a folder, a file is needed")
        if not file.exists():
            continue
        if source is not None and source.exists() and file.samefile(source):
            raise ConfigError(f"output {file}: is the source; choose another file")
        if not overwrite:
            raise ConfigError(
                f"output {file}: is there already; choose another file, or --overwrite"
            )


def prepare_output(
    folder: Path,
    streams: Iterable[str],
    *,
    overwrite: bool,
    resume: bool = False,
    can_resume: bool = True,
) -> None:
    """Make the folder; with `overwrite`, remove what an earlier run of these streams wrote.

    Raises:
        ConfigError: see `check_output_folder`, or it cannot be written.
    """
    check_output_folder(folder, overwrite=overwrite, resume=resume, can_resume=can_resume)
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
    """Remove what sinks write and nothing else, as the folder may hold files of the user's own."""
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
