"""Where results are written: checks before anything starts, manifests, JSON files."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from icstream.model.errors import ConfigError
from icstream.model.files import partial_path, write_atomically
from icstream.model.folder_lock import FolderLock
from icstream.model.shown import escape_undecoded

REPORT = "report.json"
MANIFEST = "run.json"
"""Holds what determines the results of a run; written when it begins."""
_ADDED = frozenset({"processor", "library"})
"""Keys that manifests of 0.1.0 do not have."""
RESERVED_NAMES = frozenset(
    partial_path(Path(name), ending).name if ending else name
    for name in (REPORT, MANIFEST)
    for ending in ("", "partial")
)
"""Names in lower case that no stream has, as files of the run have them."""


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
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: damaged, so no run to resume; choose another folder") from error
    if not isinstance(earlier, dict):
        raise ConfigError(f"{path}: damaged, so no run to resume; choose another folder")
    ours = json.loads(to_json(values))  # as it is read back: tuples have become lists
    different = [
        _name_difference(key, earlier.get(key), ours[key])
        for key in ours
        if earlier.get(key) != ours[key] and (key in earlier or key not in _ADDED)
    ]
    if different:
        raise ConfigError(
            f"output {folder}: the run there had other {', '.join(different)};"
            " resume with the same, or start again with --overwrite"
        )


def _name_difference(key: str, theirs: object, ours: object) -> str:
    """Return the key, and of features and versions what only one side has."""
    if key not in _ADDED:
        return key
    there, here = (str(value).split() for value in (theirs, ours))
    only_there = " ".join(word for word in there if word not in here) or "nothing else"
    only_here = " ".join(word for word in here if word not in there) or "nothing else"
    return f"{key} (there {only_there}, here {only_here})"


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


def lock_output_folder(folder: Path) -> FolderLock:
    """Make a folder if it is not there, and lock it for as long as results are written.

    Raises:
        ConfigError: it cannot be made or written, or another command writes there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        return FolderLock(folder)
    except FileExistsError:
        raise ConfigError(f"output {folder}: is a file, a folder is needed") from None
    except OSError as error:
        raise ConfigError(f"output {folder}: cannot be written ({error.strerror})") from error


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write a JSON file that survives a loss of power; a reader sees the old one or the new one."""
    write_atomically(path, f"{to_json(values)}\n".encode(), durable=True)


def to_json(values: Mapping[str, Any]) -> str:
    r"""Return values as JSON; bytes of names that are not UTF-8 are escaped (`caf\xe9.pt`)."""
    return json.dumps(_in_unicode(values), indent=2)


def _in_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else escape_undecoded(value)
    if isinstance(value, Mapping):
        return {_in_unicode(key): _in_unicode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_unicode(item) for item in value]
    return value
