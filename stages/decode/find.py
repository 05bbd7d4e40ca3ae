"""Finding the streams that a user names."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal

from icstream.model import ConfigError
from icstream.stages.decode.address import expand, live_name, scheme_of, shown, zmq_endpoint
from icstream.stages.decode.synthetic_spec import parse_synthetic
from icstream.stages.image_files import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("264", "265", "3gp", "asf", "avi", "flv", "h264", "h265", "hevc", "ivf", "m2ts"),
        *("m2v", "m4v", "mjpeg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "ts"),
        *("vob", "webm", "wmv", "y4m"),
    )
)

ENTRY_POINTS = "icstream.sources"
"""Group of entry points under which other packages offer sources."""


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
    """What the user wrote, without passwords."""
    address: str = field(default="", repr=False)
    """Address of a live source with its secrets, which is neither logged nor reported."""
    own_pace: bool = False
    """True if its frames come at their own pace, whether anybody is ready for them or not."""


def find_sources(arguments: Sequence[str]) -> list[SourceSpec]:
    """Return the streams that files, folders, glob patterns, cameras and URLs stand for, in order.

    A video is a stream, named after its file. The images of a folder or pattern are one stream in
    natural order (img2 before img10), named after the folder. A live source is a stream, named
    cam0 or after host and path. Names that clash get "-2", "-3".

    Raises:
        ConfigError: an argument that stands for nothing that can be read.
    """
    found = [spec for argument in arguments for spec in _expand(argument)]
    if not found:
        raise ConfigError(
            "no source given: name a video file, an image folder, a glob pattern, a camera or a URL"
        )
    return name_apart(found)


def name_apart(specs: Sequence[SourceSpec]) -> list[SourceSpec]:
    """Return the streams with names that differ from one another."""
    taken: set[str] = set()
    unique = []
    for spec in specs:
        name, count = spec.name, 1
        while name.lower() in taken:
            count += 1
            name = f"{spec.name}-{count}"
        taken.add(name.lower())
        unique.append(replace(spec, name=name))
    return unique


@lru_cache(maxsize=1)
def own_sources() -> dict[str, EntryPoint]:
    """Return the sources that other packages offer, by name; used as NAME:REST."""
    return {found.name: found for found in entry_points(group=ENTRY_POINTS)}


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Return a sort key under which numbers in names count as numbers."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def _expand(argument: str) -> list[SourceSpec]:
    path = Path(argument)
    if path.is_dir():
        return _group(argument, path.resolve().name, sorted(path.iterdir(), key=natural_key))
    if path.is_file():
        return [_file(argument, path)]
    maker, _, rest = argument.partition(":")
    if maker in own_sources():
        return [SourceSpec(_safe(rest or maker), "other", (), argument)]
    address = expand(argument)
    scheme = scheme_of(address)
    if scheme == "device" and glob.has_magic(argument):
        devices = sorted(glob.glob(argument), key=lambda device: natural_key(Path(device)))
        if not devices:
            raise ConfigError(f"{argument}: the pattern matches no camera")
        return [_live(device, "device") for device in devices]
    if scheme is not None:
        return [_live(address, scheme)]
    if glob.has_magic(argument):
        matches = sorted((Path(m) for m in glob.glob(argument, recursive=True)), key=natural_key)
        files = [match for match in matches if match.is_file()]
        if not files:
            raise ConfigError(f"{argument}: the pattern matches no file")
        return _group(argument, files[0].resolve().parent.name, files)
    raise ConfigError(f"{argument}: no such file or folder")


def _live(address: str, scheme: str) -> SourceSpec:
    if scheme == "zmq":
        zmq_endpoint(address)
    own_pace = _has_own_pace(address, scheme)
    return SourceSpec(_safe(live_name(address)), "live", (), shown(address), address, own_pace)


def _has_own_pace(address: str, scheme: str) -> bool:
    """Return whether a source goes on by itself; others wait for their reader."""
    if scheme == "synthetic":
        return not parse_synthetic(address).fast
    path = Path(shown(address))
    return not (address.startswith("http") and path.suffix.lower() in VIDEO_SUFFIXES)


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
