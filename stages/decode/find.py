"""Resolution of arguments to streams."""

import errno
import glob
import os
import re
import stat
import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal, TypeAlias

from icstream.model import ConfigError
from icstream.model.shown import escape
from icstream.stages.decode.address import (
    expand,
    live_name,
    local_path,
    scheme_of,
    shown,
    zmq_endpoint,
)
from icstream.stages.decode.file_kinds import (
    PLAYLIST_SUFFIXES,
    PREVIEW_SUFFIXES,
    STILL_SUFFIXES,
    VIDEO_SUFFIXES,
    FileKind,
    kind_of,
)
from icstream.stages.decode.synthetic_spec import parse_synthetic
from icstream.stages.names import safe_name, unique_name

_TRACK = re.compile(r"(.+)#(\d{1,4})", re.DOTALL)
"""A recording and the number of one of its video tracks, unless a file has the full name."""

ENTRY_POINTS = "icstream.sources"
"""The entry point group for sources of other packages."""
_CAMERA_MAJOR = 81
"""Major number of video4linux (Documentation/admin-guide/devices.txt of Linux)."""
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)
"""The errors of the system for names without a file or folder."""


PagesName: TypeAlias = Literal["first", "all"]


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One stream to be opened."""

    name: str
    """The name of the stream, unique in the run and safe as a folder name."""
    kind: Literal["video", "images", "other", "live"]
    """The kind of source; "other" comes from another package, "live" is a camera or network
    stream."""
    paths: tuple[Path, ...]
    """The file, or all images in order; empty for live sources and those of other packages."""
    given: str
    """The user's argument for display: without passwords, and escaped."""
    address: str = field(default="", repr=False)
    """The address of a source that is not a file, including secrets; never logged or reported."""
    own_pace: bool = False
    """Whether frames arrive at their own pace, regardless of the reader."""
    track: int | None = None
    """The number of the video track, from 0; None for the one that players show."""
    pages: PagesName = "first"
    """The images to read from files that hold several."""

    def of_track(self, number: int) -> "SourceSpec":
        """Return the stream of one video track of this recording, with the track in its name."""
        return replace(self, name=f"{self.name}.track{number}", track=number)


@dataclass(frozen=True, slots=True)
class Found:
    """The streams that one argument means."""

    specs: list[SourceSpec]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """The names in a folder or pattern that are not read, by reason."""


def find_sources(arguments: Sequence[str]) -> list[SourceSpec]:
    """Return the streams of files, folders, glob patterns, cameras and URLs, in order.

    Each video is a stream, named after its file. The images of a folder or pattern are one stream
    in natural order (img2 before img10), named after the folder. Each live source is a stream,
    named cam0 or after host and path. Duplicate names get the suffix "-2", "-3", ...

    Raises:
        ConfigError: An argument does not match anything that can be read.
    """
    found = [spec for argument in arguments for spec in find_source(argument).specs]
    if not found:
        raise ConfigError(
            "no source given: name a video file, an image folder, a glob pattern, a camera or a URL"
        )
    return name_apart(found)


def find_source(argument: str) -> Found:
    """Return the streams of one argument, whose names may not be unique yet.

    A file or folder with exactly this name takes precedence over other meanings of the argument.
    Hidden files are ignored, unless a pattern matches them.

    Raises:
        ConfigError: The argument does not match anything that can be read.
    """
    if not argument:
        raise ConfigError("the name of a source is empty; write . for the current folder")
    path = Path(argument)
    mode = _mode(path, argument)
    if not mode:
        path = Path(local_path(argument))
        mode = _mode(path, argument)
    if stat.S_ISDIR(mode):
        entries = [entry for entry in _entries(path) if not entry.name.startswith(".")]
        return _group(argument, path.resolve().name, entries)
    if stat.S_ISREG(mode):
        return Found([_file(argument, path)])
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        raise ConfigError(
            f"{shown(argument)}: a pipe, which cannot be read again from its beginning when a"
            " worker is lost; write it into a file first"
        )
    if _is_other_device(path, mode):
        raise ConfigError(
            f"{shown(argument)}: a device that is no camera; name a camera, a file, a folder or"
            " a URL"
        )
    track = _TRACK.fullmatch(str(path))
    if track is not None and stat.S_ISREG(_mode(Path(track[1]), argument)):
        return Found([_file(argument, Path(track[1])).of_track(int(track[2]))])
    if local_path(argument) != argument:
        raise ConfigError(f"{shown(argument)}: no such file or folder")
    maker, _, rest = argument.partition(":")
    if maker in own_sources():
        return Found([_other(maker, rest)])
    address = expand(argument)
    scheme = scheme_of(address)
    if scheme == "device" and glob.has_magic(argument):
        devices = sorted(glob.glob(argument), key=lambda device: natural_key(Path(device)))
        if not devices:
            raise ConfigError(f"{argument}: the pattern matches no camera")
        return Found([_live(device, "device") for device in devices])
    if scheme is not None:
        return Found([_live(address, scheme)])
    if glob.has_magic(argument):
        matches = [match for match in _matches(argument) if not match.name.startswith("._")]
        if not any(match.is_file() for match in matches):
            raise ConfigError(f"{shown(argument)}: the pattern matches no file")
        return _group(argument, matches[0].resolve().parent.name, matches)
    raise ConfigError(f"{shown(argument)}: no such file or folder")


def name_apart(specs: Sequence[SourceSpec], *, reserved: Collection[str] = ()) -> list[SourceSpec]:
    """Return the streams with unique names.

    Args:
        specs: The streams.
        reserved: The names, in lower case, that no stream may have.
    """
    taken = set(reserved)
    return [replace(spec, name=unique_name(spec.name, taken, ignore_case=True)) for spec in specs]


@lru_cache(maxsize=1)
def own_sources() -> dict[str, EntryPoint]:
    """Return the sources of other packages by name, which are given as NAME:REST."""
    return {found.name: found for found in entry_points(group=ENTRY_POINTS)}


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Return a sort key under which numbers in names count as numbers."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(0, int(part)) if place % 2 else (1, part) for place, part in enumerate(parts)]


def _mode(path: Path, argument: str) -> int:
    """Return the mode of a file or folder, or 0 if there is none with that name."""
    try:
        return path.stat().st_mode
    except ValueError:
        return 0  # names cannot contain a zero byte
    except OSError as error:
        if error.errno in _NOT_THERE:
            return 0
        raise ConfigError(f"{shown(argument)}: {error.strerror}") from error


def _is_other_device(path: Path, mode: int) -> bool:
    """Return whether there is a device of that name from which no camera can be read."""
    if stat.S_ISCHR(mode) and sys.platform == "linux":
        return os.major(path.stat().st_rdev) != _CAMERA_MAJOR
    return stat.S_ISBLK(mode)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=natural_key)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error


def _matches(pattern: str) -> list[Path]:
    """Return the matches of a pattern, whose first part may be the literal name of a folder."""
    parents = [parent for parent in Path(pattern).parents if glob.has_magic(str(parent))]
    root = next((parent for parent in parents if parent.is_dir()), None)
    rest = pattern if root is None else os.path.relpath(pattern, root)
    found = glob.glob(rest, root_dir=root, recursive=True)
    return sorted((Path(root or "", match) for match in found), key=natural_key)


def _live(address: str, scheme: str) -> SourceSpec:
    if scheme == "zmq":
        zmq_endpoint(address)
    own_pace = _has_own_pace(address, scheme)
    return SourceSpec(safe_name(live_name(address)), "live", (), shown(address), address, own_pace)


def _has_own_pace(address: str, scheme: str) -> bool:
    """Return whether a source continues regardless of its reader."""
    if scheme == "synthetic":
        return not parse_synthetic(address).fast
    path = Path(shown(address))
    return not (address.startswith("http") and path.suffix.lower() in VIDEO_SUFFIXES)


def _other(maker: str, rest: str) -> SourceSpec:
    """Return a source of another package, whose address may also hold a login."""
    given = rest if rest.isdigit() else shown(rest)  # a number is not a local camera here
    return SourceSpec(safe_name(given or maker), "other", (), f"{maker}:{given}", f"{maker}:{rest}")


def _file(argument: str, path: Path) -> SourceSpec:
    if path.is_relative_to("/dev") or path.is_relative_to("/proc"):
        path = path.resolve()  # /dev/stdin is another file in a worker
    # A file of unknown kind is tried as a video, as FFmpeg examines its content.
    return _spec(argument, path.stem, kind_of(path) or "video", (path,))


def _spec(argument: str, name: str, kind: FileKind, paths: tuple[Path, ...]) -> SourceSpec:
    return SourceSpec(safe_name(name), kind, paths, escape(argument))


def _group(argument: str, folder: str, entries: Sequence[Path]) -> Found:
    """Return the streams of a folder or pattern, and the names that are not read."""
    files: dict[FileKind, list[Path]] = {"video": [], "images": []}
    left_out: dict[str, list[str]] = defaultdict(list)
    kinds = [_kind_in_group(entry) for entry in entries]
    if not any(kind for kind, _ in kinds):  # previews and playlists with nothing else beside them
        kinds = [_kind_in_group(entry, has_others=False) for entry in entries]
    for entry, (kind, reason) in zip(entries, kinds, strict=True):
        if kind is None:
            left_out[reason].append(escape(entry.name))
        else:
            files[kind].append(entry)
    specs = [_spec(argument, file.stem, "video", (file,)) for file in files["video"]]
    if files["images"]:
        specs.append(_spec(argument, folder, "images", tuple(files["images"])))
    if not specs:
        raise ConfigError(
            f"{escape(argument)}: contains no video or image; allowed are"
            f" {' '.join(sorted(VIDEO_SUFFIXES | STILL_SUFFIXES))}"
        )
    return Found(specs, dict(left_out))


def _kind_in_group(entry: Path, *, has_others: bool = True) -> tuple[FileKind | None, str]:
    """Return the kind of a folder's entry, or None and the reason why it is not read."""
    if entry.is_dir():
        return None, "folders in folders are not searched"
    if not entry.is_file():
        return None, "no file"
    suffix = entry.suffix.lower()
    if suffix in PREVIEW_SUFFIXES and has_others:
        return None, "a preview of another file"
    if suffix in PLAYLIST_SUFFIXES:
        return (None, "names other files") if has_others else ("video", "")
    return kind_of(entry), "no video or image"
