"""Atomic writing of files."""

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(
    path: Path,
    content: bytes | Callable[[Path], object],
    *,
    durable: bool,
    shared: bool = False,
) -> None:
    """Write a file of which a reader sees the old content or the new one, never half of it.

    The content goes to `NAME.partial` beside the file, which then takes the file's name. The
    umask decides who may read it. On an error the file is as it was, and nothing lies beside it.

    Args:
        path: of the file, in a folder that exists.
        content: bytes, or a function that writes a new file at the path that it is given.
        durable: return only when the file would survive a loss of power.
        shared: other processes may be writing the same file at this moment.

    Raises:
        OSError: the file cannot be written.
    """
    suffix = f"{os.getpid()}.partial" if shared else "partial"
    partial = path.with_name(f"{path.name}.{suffix}")
    # A killed process may have left it, perhaps as a link to somebody's file.
    partial.unlink(missing_ok=True)
    try:
        if isinstance(content, bytes):
            partial.write_bytes(content)
        else:
            content(partial)
        if durable:
            _sync(partial)
        os.replace(partial, path)
        if durable and os.name == "posix":  # Windows opens no folders
            _sync(path.parent)
    finally:
        # It is still there after an error, or if both names were links to one file already.
        partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
