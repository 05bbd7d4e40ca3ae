"""Atomic writing of files."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_SAFE_NAME_BYTES = 143
"""Every file system allows names that long; most allow 255 bytes."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def write_atomically(
    path: Path,
    content: bytes | Callable[[Path], object],
    *,
    durable: bool,
    shared: bool = False,
) -> None:
    """Write a file of which a reader sees the old content or the new one, never half of it.

    The content goes to `NAME.partial` beside the file (see `partial_path`), which then takes the
    file's name. The umask decides who may read it. On an error the file is as it was, and nothing
    lies beside it.

    Args:
        path: of the file, in a folder that exists.
        content: bytes, or a function that writes a new file at the path that it is given.
        durable: return only when the file would survive a loss of power.
        shared: other processes may be writing the same file at this moment.

    Raises:
        OSError: the file cannot be written; its `filename` is set.
    """
    suffix = f"{os.getpid()}.partial" if shared else "partial"
    partial = partial_path(path, suffix)
    # A killed process may have left it, perhaps as a link to somebody's file.
    partial.unlink(missing_ok=True)
    try:
        with naming_file(path):
            if isinstance(content, bytes):
                partial.write_bytes(content)
            else:
                content(partial)
            if durable:
                sync_file(partial)
            os.replace(partial, path)
            if durable:
                sync_folder(path.parent)
    finally:
        # It is still there after an error, or if both names were links to one file already.
        partial.unlink(missing_ok=True)


def partial_path(path: Path, suffix: str = "partial") -> Path:
    """Return the name of a file while it is written: NAME.partial, or a short one for long names.

    Args:
        path: of the file.
        suffix: what the name ends with.
    """
    partial = f"{path.name}.{suffix}"
    if len(os.fsencode(partial)) > _SAFE_NAME_BYTES:
        digest = hashlib.blake2b(os.fsencode(path.name), digest_size=16).hexdigest()
        partial = f"{digest}.{suffix}"
    return path.with_name(partial)


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Name the file in each OSError that comes out without a name, or with that of a source.

    Python gives none where a disk is full, or, of a copy, the name of what was read.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno in _NO_SPACE:
            error.filename = str(path)
        raise


@contextmanager
def reserved_space(folder: Path, num_bytes: int) -> Iterator[None]:
    """Keep so many bytes of the folder's disk free for whoever comes after the context.

    They belong to a file without a name, so nothing is left of it if the process is killed. Where
    the file system has no such files, or too little room, nothing is kept free.
    """
    with ExitStack() as stack:
        with suppress(OSError, AttributeError):  # not on every system
            descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            os.posix_fallocate(descriptor, 0, num_bytes)
        yield


def sync_file(path: Path) -> None:
    """Return when the content of a file would survive a loss of power.

    Raises:
        OSError: it cannot be opened, or its disk fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names of files in a folder would survive a loss of power.

    Raises:
        OSError: it cannot be opened, or its disk fails.
    """
    if os.name == "posix":  # Windows opens no folders
        sync_file(folder)
