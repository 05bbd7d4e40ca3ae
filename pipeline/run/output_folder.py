"""Preparation of a run's output folder: created, locked, and cleared of earlier results."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icstream.model import ConfigError
from icstream.model.folder_lock import FolderLock
from icstream.pipeline.output import MANIFEST, REPORT, check_output_folder, lock_output_folder
from icstream.stages.sinks import find_written


@dataclass(frozen=True, slots=True)
class StreamOutput:
    """The output of one stream."""

    name: str
    """Name of the stream and of its folder."""
    sinks: Sequence[str]
    sources: Sequence[Path]
    """Files that the stream is read from."""


@dataclass(frozen=True, slots=True)
class PreparedFolder:
    """A folder that is ready for results."""

    lock: FolderLock
    """Lock on the folder, to be closed after the last result is written."""
    kept: Mapping[str, Any]
    """Entries of the earlier manifest to keep in the next one: streams whose results stay."""


def prepare_output(
    folder: Path,
    streams: Sequence[StreamOutput],
    *,
    overwrite: bool,
    resume: bool = False,
    can_resume: bool = True,
) -> PreparedFolder:
    """Create and lock the folder; with `overwrite`, remove the streams' earlier results.

    Raises:
        ConfigError: `check_output` fails, the folder cannot be written, or another command is
            writing to it.
    """
    with ExitStack() as stack:
        lock = stack.enter_context(lock_output_folder(folder))
        # Under the lock, the content of the folder does not change any more.
        check_output(folder, streams, overwrite=overwrite, resume=resume, can_resume=can_resume)
        others: Mapping[str, Any] = {}
        if overwrite:
            others = _other_streams(folder, streams)
            _remove(folder, _find_replaced(folder, streams))
        stack.pop_all()
    return PreparedFolder(lock, others)


def check_output(
    folder: Path,
    streams: Sequence[StreamOutput],
    *,
    overwrite: bool,
    resume: bool = False,
    can_resume: bool = True,
) -> None:
    """Check that a run may write into a folder, without changing anything.

    Raises:
        ConfigError: `check_output_folder` fails; or, with `overwrite`, files not written by an
            earlier run are in the way, or a source would be removed.
    """
    check_output_folder(folder, overwrite=overwrite, resume=resume, can_resume=can_resume)
    if not overwrite:
        return
    replaced = {path.resolve() for path in _find_replaced(folder, streams)}
    for stream in streams:
        for source in stream.sources:
            if source.resolve() in replaced:
                raise ConfigError(
                    f"output {folder}: {source} is a source of this run and would be removed;"
                    " choose another folder"
                )


def _find_replaced(folder: Path, streams: Sequence[StreamOutput]) -> list[Path]:
    """Return the files of an earlier run that the streams replace."""
    earlier = _earlier_sinks(folder)
    found: list[Path] = []
    for stream in streams:
        place = folder / stream.name
        names = {path.name for path in stream.sources}
        sinks = earlier.get(stream.name, ())
        found += (path for sink in sinks for path in find_written(sink, place, names))
        for sink in set(stream.sinks).difference(sinks):
            strangers = find_written(sink, place, names)
            if strangers:
                raise ConfigError(
                    f"output {strangers[0]}: was not written by the run that wrote {MANIFEST};"
                    " choose another folder"
                )
    for path in found:
        if folder.resolve() not in path.parent.resolve().parents:
            raise ConfigError(
                f"output {path}: lies behind a symbolic link, through which nothing is removed;"
                " choose another folder"
            )
    return found


def _earlier_sinks(folder: Path) -> dict[str, list[str]]:
    """Return the sinks of each stream with results in the folder; empty for an empty folder.

    Raises:
        ConfigError: the folder contains something other than an earlier run.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return {}
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        streams = {**manifest.get("earlier_streams", {}), **manifest["sinks"]}
        return {str(name): [str(sink) for sink in sinks] for name, sinks in streams.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"output {folder}: contains no earlier run (no usable {MANIFEST}), and --overwrite"
            " replaces only such a run; choose another folder"
        ) from error


def _other_streams(folder: Path, streams: Sequence[StreamOutput]) -> Mapping[str, Any]:
    """Return the streams of earlier runs that this one does not replace, for its manifest."""
    ours = {stream.name for stream in streams}
    others = {
        name: sinks
        for name, sinks in _earlier_sinks(folder).items()
        if name not in ours and Path(name).name == name and (folder / name).is_dir()
    }
    return {"earlier_streams": others} if others else {}


def _remove(folder: Path, files: Sequence[Path]) -> None:
    """Remove the files and the report; the manifest stays until it is replaced."""
    try:
        (folder / REPORT).unlink(missing_ok=True)
        for path in files:
            path.unlink(missing_ok=True)
        emptied = {place for path in files for place in path.parents if folder in place.parents}
        for place in sorted(emptied, reverse=True):  # inner folders first
            with suppress(OSError):  # it contains something else
                place.rmdir()
    except OSError as error:
        raise ConfigError(f"output {folder}: cannot be written ({error.strerror})") from error
