"""Atomic writing of files."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_SAFE_NAME_BYTES = 143
"""The longest name that every file system allows; most allow 255 bytes."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def write_atomically(
    path: Path,
    content: bytes | Callable[[Path], object],
    *,
    durable: bool,
    shared: bool = False,
) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part of it.

    The content goes to `NAME.partial` beside the file (see `partial_path`), which then takes the
    file's name. The umask decides who may read it. After an error the file is unchanged and the
    partial file removed.

    Args:
        path: The path of the file, in a folder that exists.
        content: The content, or a function that writes a new file at a given path.
        durable: Return only once the file would survive a power failure.
        shared: Allow other processes to write the same file at the same time.

    Raises:
        OSError: The file cannot be written; the error has a `filename`.
    """
    suffix = f"{os.getpid()}.partial" if shared else "partial"
    partial = partial_path(path, suffix)
    # A killed process may have left this file, perhaps as a link to another.
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
        # The file still exists after an error, or if both names were links to one file.
        partial.unlink(missing_ok=True)


def partial_path(path: Path, suffix: str = "partial") -> Path:
    """Return the path of a file while it is written: NAME.partial, or a hash for long names.

    Args:
        path: The path of the file.
        suffix: The end of the new name.
    """
    partial = f"{path.name}.{suffix}"
    if len(os.fsencode(partial)) > _SAFE_NAME_BYTES:
        digest = hashlib.blake2b(os.fsencode(path.name), digest_size=16).hexdigest()
        partial = f"{digest}.{suffix}"
    return path.with_name(partial)


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Set the file's name in each OSError that has none, or that of the source of a copy.

    Python sets no name when a disk is full, and that of the source when a copy fails.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno in _NO_SPACE:
            error.filename = str(path)
        raise


@contextmanager
def reserved_space(folder: Path, num_bytes: int) -> Iterator[None]:
    """Hold bytes of the folder's disk in reserve until the context ends.

    They belong to a file without a name, which vanishes if the process is killed. Where the file
    system has no such files, or too little space, nothing is held.
    """
    with ExitStack() as stack:
        with suppress(OSError, AttributeError):  # not on every system
            descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            os.posix_fallocate(descriptor, 0, num_bytes)
        yield


def sync_file(path: Path) -> None:
    """Flush a file to disk, so that its content survives a power failure.

    Raises:
        OSError: It cannot be opened, or its disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that the names of files in it survive a power failure.

    Raises:
        OSError: It cannot be opened, or its disk failed.
    """
    if os.name == "posix":  # Windows cannot open folders
        sync_file(folder)
