"""Finding the streams that a user names."""

import errno
import glob
import os
import re
import stat
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
"""A recording and the number of one of its video tracks, where no file has that full name."""

ENTRY_POINTS = "icstream.sources"
"""Group of entry points under which other packages offer sources."""
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)
"""What the system answers where there is no file or folder of a name."""


PagesName: TypeAlias = Literal["first", "all"]


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One stream to be opened."""

    name: str
    """Name of the stream, unique in the run, and safe as the name of a folder."""
    kind: Literal["video", "images", "other", "live"]
    """What it is; "other" comes from another package, "live" is a camera or a network stream."""
    paths: tuple[Path, ...]
    """The file, or all images in order; empty for sources of other packages and live ones."""
    given: str
    """What the user wrote, as it may be shown: without passwords, and escaped."""
    address: str = field(default="", repr=False)
    """Address of a source that is no file with its secrets, which is neither logged nor
    reported."""
    own_pace: bool = False
    """True if its frames come at their own pace, whether anybody is ready for them or not."""
    track: int | None = None
    """Number of the video track, from 0; None for the one that players show."""
    pages: PagesName = "first"
    """Which images of a file that holds several are read."""

    def of_track(self, number: int) -> "SourceSpec":
        """Return the stream of one video track of this recording, named after it."""
        return replace(self, name=f"{self.name}.track{number}", track=number)


@dataclass(frozen=True, slots=True)
class Found:
    """What one argument stands for."""

    specs: list[SourceSpec]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Names in a folder or pattern that no stream has, by the reason."""


def find_sources(arguments: Sequence[str]) -> list[SourceSpec]:
    """Return the streams that files, folders, glob patterns, cameras and URLs stand for, in order.

    A video is a stream, named after its file. The images of a folder or pattern are one stream in
    natural order (img2 before img10), named after the folder. A live source is a stream, named
    cam0 or after host and path. Names that clash get "-2", "-3".

    Raises:
        ConfigError: an argument that stands for nothing that can be read.
    """
    found = [spec for argument in arguments for spec in find_source(argument).specs]
    if not found:
        raise ConfigError(
            "no source given: name a video file, an image folder, a glob pattern, a camera or a URL"
        )
    return name_apart(found)


def find_source(argument: str) -> Found:
    """Return the streams that one argument stands for, not yet named apart.

    A file or folder that has this very name comes before all else that the name could mean.
    Hidden files are left alone, unless a pattern asks for them.

    Raises:
        ConfigError: it stands for nothing that can be read.
    """
    if not argument:
        raise ConfigError("a source without a name; write . for the current folder")
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
    """Return the streams with names that differ from one another.

    Args:
        specs: the streams.
        reserved: names in lower case that no stream may have.
    """
    taken = set(reserved)
    return [replace(spec, name=unique_name(spec.name, taken, ignore_case=True)) for spec in specs]


@lru_cache(maxsize=1)
def own_sources() -> dict[str, EntryPoint]:
    """Return the sources that other packages offer, by name; used as NAME:REST."""
    return {found.name: found for found in entry_points(group=ENTRY_POINTS)}


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Return a sort key under which numbers in names count as numbers."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(0, int(part)) if place % 2 else (1, part) for place, part in enumerate(parts)]


def _mode(path: Path, argument: str) -> int:
    """Return the mode of a file or folder; 0 if there is none of that name."""
    try:
        return path.stat().st_mode
    except ValueError:
        return 0  # a zero byte is in no name
    except OSError as error:
        if error.errno in _NOT_THERE:
            return 0
        raise ConfigError(f"{shown(argument)}: {error.strerror}") from error


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=natural_key)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error


def _matches(pattern: str) -> list[Path]:
    """Return what a pattern stands for; a folder that has its first part as a name is meant."""
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
    """Return whether a source goes on by itself; others wait for their reader."""
    if scheme == "synthetic":
        return not parse_synthetic(address).fast
    path = Path(shown(address))
    return not (address.startswith("http") and path.suffix.lower() in VIDEO_SUFFIXES)


def _other(maker: str, rest: str) -> SourceSpec:
    """Return a source of another package, whose address may hold a login as well."""
    given = rest if rest.isdigit() else shown(rest)  # a number is no camera of this computer
    return SourceSpec(safe_name(given or maker), "other", (), f"{maker}:{given}", f"{maker}:{rest}")


def _file(argument: str, path: Path) -> SourceSpec:
    if path.is_relative_to("/dev") or path.is_relative_to("/proc"):
        path = path.resolve()  # of /dev/stdin, which is another file in a worker
    # A file of no known kind is tried as a video: FFmpeg looks at the content.
    return _spec(argument, path.stem, kind_of(path) or "video", (path,))


def _spec(argument: str, name: str, kind: FileKind, paths: tuple[Path, ...]) -> SourceSpec:
    return SourceSpec(safe_name(name), kind, paths, escape(argument))


def _group(argument: str, folder: str, entries: Sequence[Path]) -> Found:
    """Return the streams of a folder or pattern, and what is left out of it."""
    files: dict[FileKind, list[Path]] = {"video": [], "images": []}
    left_out: dict[str, list[str]] = defaultdict(list)
    kinds = [_kind_in_group(entry) for entry in entries]
    if not any(kind for kind, _ in kinds):  # so previews and playlists stand beside nothing else
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
            f"{escape(argument)}: holds no video or image; known are"
            f" {' '.join(sorted(VIDEO_SUFFIXES | STILL_SUFFIXES))}"
        )
    return Found(specs, dict(left_out))


def _kind_in_group(entry: Path, *, has_others: bool = True) -> tuple[FileKind | None, str]:
    """Return what an entry of a folder is, or None and why it is left out beside others."""
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
