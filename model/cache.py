"""A folder for what is slow to make and easy to make again.

`ICSTREAM_CACHE` names it; else it is `icstream` in the user's cache folder. Everything works
without it, only slower. What was made longest ago goes when there is more than 1 GB.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from icstream.model.files import write_atomically

log = logging.getLogger(__name__)

_MAX_BYTES = 2**30
_SUFFIXES = (".bin", ".blob", ".onnx", ".partial", ".xml")
"""The suffixes of what may be removed; the folder may hold other things too."""


def cache_dir() -> Path:
    """Return the folder; it need not exist."""
    own = os.environ.get("ICSTREAM_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "icstream"


def keep(name: str, write: Callable[[Path], None]) -> Path | None:
    """Put a file into the cache, if it can be; a reader sees all of it or nothing.

    Args:
        name: of the file.
        write: writes a new file at the path that it is given.

    Returns:
        Where it is; None if the cache cannot be written.
    """
    path = cache_dir() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, write, durable=False, shared=True)
        _make_room(path.parent)
    except (OSError, RuntimeError) as error:
        log.debug("cache %s: %s", path, error)
        return None
    return path


def _make_room(folder: Path) -> None:
    """Remove the oldest files until the others fit, and what earlier versions left."""
    for marker in folder.glob("checked-*"):
        marker.unlink(missing_ok=True)
    stats = {path: path.stat() for path in folder.iterdir() if path.suffix in _SUFFIXES}
    num_bytes = sum(stat.st_size for stat in stats.values())
    for path in sorted(stats, key=lambda path: stats[path].st_mtime):
        if num_bytes <= _MAX_BYTES:
            return
        path.unlink(missing_ok=True)
        num_bytes -= stats[path].st_size
