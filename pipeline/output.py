"""Output folders and files: checks before anything starts, manifests, JSON."""

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
"""A JSON file with everything that determines the results of a run, written when it begins."""
_CONTENT = "content"
"""The manifest key of the digests of the sources' files."""
_ADDED = frozenset({"processor", "library", _CONTENT})
"""Manifest keys that earlier versions did not write."""
RESERVED_NAMES = frozenset(
    partial_path(Path(name), ending).name if ending else name
    for name in (REPORT, MANIFEST)
    for ending in ("", "partial")
)
"""Lower-case names that no stream may have, because files of the run use them."""


def begin_manifest(folder: Path, values: Mapping[str, Any], *, resume: bool) -> None:
    """Write the manifest of a new run, or compare it with that of the run to be resumed.

    Raises:
        ConfigError: the earlier run had other settings, weights or sources, or does not exist.
    """
    path = folder / MANIFEST
    if not resume or not path.exists():
        if resume and any(folder.iterdir()):
            raise ConfigError(f"output {folder}: contains no {MANIFEST}, so cannot be resumed")
        write_json(values, path)
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}: damaged, so the run cannot be resumed; choose another folder"
        ) from error
    if not isinstance(earlier, dict):
        raise ConfigError(f"{path}: damaged, so the run cannot be resumed; choose another folder")
    ours = json.loads(to_json(values))  # JSON turns tuples into lists
    different = [
        _name_difference(key, earlier.get(key), ours[key])
        for key in ours
        if earlier.get(key) != ours[key] and (key in earlier or key not in _ADDED)
    ]
    if different:
        raise ConfigError(
            f"output {folder}: the earlier run differs in {', '.join(different)};"
            " resume with the same, or start over with --overwrite"
        )


def _name_difference(key: str, theirs: object, ours: object) -> str:
    """Return the key; for features and versions, also list what only one side has."""
    if key == _CONTENT and isinstance(theirs, dict) and isinstance(ours, dict):
        changed = sorted(name for name in ours if theirs.get(name) != ours[name])
        return f"files under the names of its sources ({', '.join(changed)})"
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
    """Check that results may be written into a folder, without changing anything."""
    if overwrite and resume:
        raise ConfigError("--overwrite and --resume contradict each other; give only one of them")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output {folder}: is a file, but a folder is needed")
    if overwrite or resume or not folder.is_dir():
        return
    if results is None and any(folder.iterdir()):
        hint = "or --overwrite to replace it"
        if can_resume:
            hint = "--overwrite to replace it, or --resume to continue an interrupted run"
        raise ConfigError(f"output {folder}: not empty; choose another folder, {hint}")
    found = [name for name in results or () if (folder / name).exists()]
    if found:
        raise ConfigError(
            f"output {folder}: contains {', '.join(found)}; choose another folder, or --overwrite"
        )


def check_output_files(
    files: Iterable[Path], *, overwrite: bool, source: Path | None = None
) -> None:
    """Check that result files may be written."""
    for file in files:
        if file.is_dir():
            raise ConfigError(f"output {file}: is a folder, but a file is needed")
        if is_no_file(file):
            raise ConfigError(f"output {file}: is a device or a pipe, but a file is needed")
        if not file.exists():
            continue
        if source is not None and source.exists() and file.samefile(source):
            raise ConfigError(f"output {file}: is the source; choose another file")
        if not overwrite:
            raise ConfigError(f"output {file}: already exists; choose another file, or --overwrite")


def lock_output_folder(folder: Path) -> FolderLock:
    """Create a folder if needed, and lock it while results are written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        return FolderLock(folder)
    except FileExistsError:
        raise ConfigError(f"output {folder}: is a file, but a folder is needed") from None
    except OSError as error:
        raise ConfigError(f"output {folder}: cannot be written ({error.strerror})") from error


def is_no_file(path: Path) -> bool:
    """Return whether a path is taken by what is written into, and not replaced: a pipe, a device.

    What stands for an open file, such as /dev/stdout, is one too, as its name belongs to the
    system.
    """
    if not path.exists() or path.is_dir():
        return False
    return not path.is_file() or "/proc/" in f"{path.parent.resolve()}/" or _is_in_proc(path)


def _is_in_proc(path: Path) -> bool:
    return path.is_symlink() and os.readlink(path).startswith("/proc/")


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write a JSON file atomically and durably: a reader sees the old or the new content.

    A pipe or a device is written into.
    """
    content = f"{to_json(values)}\n".encode()
    if not is_no_file(path):
        write_atomically(path, content, durable=True)
        return
    # Do not wait for a reader: if there is none, that is an error.
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with open(descriptor, "wb") as file:
        file.write(content)


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
