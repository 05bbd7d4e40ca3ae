"""The cache folder, for files that are slow to make and can be made again.

`ICSTREAM_CACHE` names the folder; by default it is `icstream` in the user's cache folder.
Everything works without it, only slower. Above 1 GB the least recently used files are removed.

The files hold code that will run, so each one is checked: it must belong to this user or to root,
lie in a folder that nobody else can write to, and end with the digest of its name and content. A
damaged file, for example after a power failure, is made again.
"""

import logging
import os
import stat
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from icstream.model.files import write_atomically

log = logging.getLogger(__name__)

_MAX_BYTES = 2**30
_SUFFIXES = (".bin", ".blob", ".loop", ".onnx", ".partial", ".safetensors", ".xml")
"""The suffixes of files that may be removed; the folder may hold others too."""
_DIGEST_BYTES = 32


def cache_dir() -> Path:
    """Return the path of the cache folder, which need not exist."""
    own = os.environ.get("ICSTREAM_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "icstream"


def load(name: str, *, beside: Path | None = None) -> bytes | None:
    """Return the content of a cached file, or None if it is missing or damaged.

    Args:
        name: The name of the file.
        beside: A folder that is searched first.
    """
    for folder in _folders(beside):
        path = folder / name
        try:
            stored = _read_own(path)
        except OSError:
            continue
        content, digest = stored[:-_DIGEST_BYTES], stored[-_DIGEST_BYTES:]
        if digest == _digest(name, content):
            with suppress(OSError):  # read-only, or removed meanwhile
                os.utime(path)  # so that it is removed last
            return content
        log.warning("cache %s: damaged; making it again", path)
        with suppress(OSError):
            path.unlink()
    return None


def store(name: str, content: bytes, *, beside: Path | None = None) -> None:
    """Put a file into the cache, atomically, if the cache can be written to.

    Args:
        name: The name of the file.
        content: The content of the file.
        beside: A folder to use instead of the cache, if it is safe and writable.
    """

    def write(partial: Path) -> None:
        partial.touch(mode=0o644)  # minus the umask
        partial.write_bytes(content + _digest(name, content))

    for folder in _folders(beside):
        try:
            write_atomically(folder / name, write, durable=True, shared=True)
            if folder != beside:
                _make_room(folder)
            return
        except OSError as error:
            log.debug("cache %s: %s", folder / name, error)


def _folders(beside: Path | None) -> list[Path]:
    """Return the folders that may hold cached files, in order of preference."""
    first = [] if beside is None or not _is_safe(beside) else [beside]
    return [*first, *filter(None, [_safe_folder(cache_dir())])]


@lru_cache(maxsize=8)
def _safe_folder(base: Path) -> Path | None:
    """Return the folder, or a private one within it; None if neither is safe."""
    own = f"private-{os.getuid()}" if hasattr(os, "getuid") else "private"
    for folder in (base, base / own):
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_safe(folder):
                return folder
    log.debug("cache %s: others can write to it and to the folder in it", base)
    return None


@lru_cache(maxsize=32)
def _is_safe(folder: Path) -> bool:
    """Return whether a folder exists and only this user or root can write to it."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return _is_trusted(found) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read_own(path: Path) -> bytes:
    """Return the content of a regular file that belongs to this user or to root.

    Raises:
        OSError: The file is missing, or is not such a file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or not _is_trusted(found):
            raise PermissionError(f"{path}: not a file of this user")
        return file.read()


def _is_trusted(found: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or found.st_uid in (0, os.getuid())


def _digest(name: str, content: bytes) -> bytes:
    digest = blake2b(name.encode(), digest_size=_DIGEST_BYTES)
    digest.update(content)
    return digest.digest()


def _make_room(folder: Path) -> None:
    """Remove the least recently used files until the rest fits, and files of earlier versions."""
    for marker in folder.glob("checked-*"):
        marker.unlink(missing_ok=True)
    stats = {path: path.stat() for path in folder.iterdir() if path.suffix in _SUFFIXES}
    num_bytes = sum(stat.st_size for stat in stats.values())
    for path in sorted(stats, key=lambda path: stats[path].st_mtime):
        if num_bytes <= _MAX_BYTES:
            return
        path.unlink(missing_ok=True)
        num_bytes -= stats[path].st_size
