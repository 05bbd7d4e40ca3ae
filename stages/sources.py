"""From what a user names to the streams of a run."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal

from icstream.model import ConfigError

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("264", "265", "3gp", "asf", "avi", "flv", "h264", "h265", "hevc", "ivf", "m2ts"),
        *("m2v", "m4v", "mjpeg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "ts"),
        *("vob", "webm", "wmv", "y4m"),
    )
)
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

ENTRY_POINTS = "icstream.sources"
"""Group of entry points under which other packages offer makers of sources."""

_LIVE = re.compile(r"[a-z][a-z0-9+.-]*://|/dev/|\d+$")


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One stream to be opened."""

    name: str
    """Unique in the run, and safe as the name of a folder."""
    kind: Literal["video", "images", "other"]
    """other: from a source of another package."""
    paths: tuple[Path, ...]
    """The file; of images all, in order; empty for sources of other packages."""
    given: str
    """What the user wrote."""


def find_sources(arguments: Sequence[str]) -> list[SourceSpec]:
    """Gives the streams that files, folders and glob patterns stand for, in their order.

    A video is a stream, named after its file. The images of a folder or pattern are one stream in
    natural order (img2 before img10), named after the folder. Names that clash get "-2", "-3".

    Raises:
        ConfigError: an argument that stands for nothing that can be read.
    """
    found = [spec for argument in arguments for spec in _expand(argument)]
    if not found:
        raise ConfigError("no source given: name a video file, an image folder or a glob pattern")
    taken: set[str] = set()
    unique = []
    for spec in found:
        name, count = spec.name, 1
        while name.lower() in taken:
            count += 1
            name = f"{spec.name}-{count}"
        taken.add(name.lower())
        unique.append(replace(spec, name=name))
    return unique


@lru_cache(maxsize=1)
def own_sources() -> dict[str, EntryPoint]:
    """Gives the sources that other packages offer, by name; used as NAME:REST."""
    return {found.name: found for found in entry_points(group=ENTRY_POINTS)}


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Gives a sort key under which numbers in names count as numbers."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def _expand(argument: str) -> list[SourceSpec]:
    path = Path(argument)
    if path.is_dir():
        return _group(argument, path.resolve().name, sorted(path.iterdir(), key=natural_key))
    if path.is_file():
        return [_file(argument, path)]
    if glob.has_magic(argument):
        matches = sorted((Path(m) for m in glob.glob(argument, recursive=True)), key=natural_key)
        files = [match for match in matches if match.is_file()]
        if not files:
            raise ConfigError(f"{argument}: the pattern matches no file")
        return _group(argument, files[0].resolve().parent.name, files)
    maker, _, rest = argument.partition(":")
    if maker in own_sources():
        return [SourceSpec(_safe(rest or maker), "other", (), argument)]
    if _LIVE.match(argument):
        raise ConfigError(f"{argument}: cameras and network streams are not supported yet")
    raise ConfigError(f"{argument}: no such file or folder")


def _file(argument: str, path: Path) -> SourceSpec:
    kind: Literal["video", "images"] = "video"
    if path.suffix.lower() in IMAGE_SUFFIXES:
        kind = "images"
    # A file with an unknown suffix is tried as a video: FFmpeg looks at the content.
    return SourceSpec(_safe(path.stem), kind, (path,), argument)


def _group(argument: str, folder: str, files: Sequence[Path]) -> list[SourceSpec]:
    images = tuple(file for file in files if file.suffix.lower() in IMAGE_SUFFIXES)
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    specs = [SourceSpec(_safe(file.stem), "video", (file,), argument) for file in videos]
    if images:
        specs.append(SourceSpec(_safe(folder), "images", images, argument))
    if not specs:
        raise ConfigError(
            f"{argument}: holds no video or image; known are"
            f" {' '.join(sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES))}"
        )
    return specs


def _safe(name: str) -> str:
    cleaned = re.sub(r"[^\w.+@=,() -]+", "_", name).strip(" .")
    return cleaned or "stream"
