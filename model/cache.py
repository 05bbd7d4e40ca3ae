"""A folder for what is slow to make and easy to make again.

`ICSTREAM_CACHE` names it; else it is `icstream` in the user's cache folder. Everything works
without it, only slower. What was used longest ago goes when there is more than 1 GB.

What lies there is code that runs, so nothing is believed: a file must belong to this user or to
root, in a folder that nobody else can write to, and end with the digest of its name and content. A
file that was damaged, as by a loss of power, is made again.
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
"""The suffixes of what may be removed; the folder may hold other things too."""
_DIGEST_BYTES = 32


def cache_dir() -> Path:
    """Return the folder; it need not exist."""
    own = os.environ.get("ICSTREAM_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "icstream"


def load(name: str, *, beside: Path | None = None) -> bytes | None:
    """Return the content of a file of the cache; None if it is not there as it was stored.

    Args:
        name: of the file.
        beside: a folder in which it is looked for first.
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
                os.utime(path)  # so that others are removed before it
            return content
        log.warning("cache %s: damaged; it is made again", path)
        with suppress(OSError):
            path.unlink()
    return None


def store(name: str, content: bytes, *, beside: Path | None = None) -> None:
    """Put a file into the cache, if it can be; a reader sees all of it or nothing.

    Args:
        name: of the file.
        content: of the file.
        beside: a folder to put it into instead, if that is safe and can be written.
    """

    def write(partial: Path) -> None:
        partial.touch(mode=0o644)  # less what the umask takes away
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
    """Return the folders in which files may be, the best first."""
    first = [] if beside is None or not _is_safe(beside) else [beside]
    return [*first, *filter(None, [_safe_folder(cache_dir())])]


@lru_cache(maxsize=8)
def _safe_folder(base: Path) -> Path | None:
    """Return the folder, or one in it that only this user can write to; None if there is none."""
    own = f"private-{os.getuid()}" if hasattr(os, "getuid") else "private"
    for folder in (base, base / own):
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_safe(folder):
                return folder
    log.debug("cache %s: neither it nor a folder in it is only this user's", base)
    return None


@lru_cache(maxsize=32)
def _is_safe(folder: Path) -> bool:
    """Return whether a folder is there, and only this user or root can write to it."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return _is_trusted(found) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read_own(path: Path) -> bytes:
    """Return the content of a regular file that is ours.

    Raises:
        OSError: it is not there, or something else.
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
    """Remove what was used longest ago until the rest fits, and what earlier versions left."""
    for marker in folder.glob("checked-*"):
        marker.unlink(missing_ok=True)
    stats = {path: path.stat() for path in folder.iterdir() if path.suffix in _SUFFIXES}
    num_bytes = sum(stat.st_size for stat in stats.values())
    for path in sorted(stats, key=lambda path: stats[path].st_mtime):
        if num_bytes <= _MAX_BYTES:
            return
        path.unlink(missing_ok=True)
        num_bytes -= stats[path].st_size
