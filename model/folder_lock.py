"""The lock on a result folder, which has one owner at a time."""

import errno
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from icstream.model.errors import ConfigError

log = logging.getLogger(__name__)

_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""The errors of file systems that cannot lock a folder."""


class FolderLock:
    """An exclusive lock on a folder, held until it is closed in this and all inheriting processes.

    The folder itself is locked (flock), so there is no lock file to be left, planted or removed,
    and the system releases the lock of a process that is killed. A child process that inherits the
    descriptor holds the same lock, which lasts until the last of them ends.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock without waiting, or log a warning on a file system without locks.

        Args:
            folder: The folder, which must exist.

        Raises:
            ConfigError: Another process holds the lock.
            OSError: The folder cannot be opened.
        """
        self._descriptor: int | None = None
        if os.name != "posix":  # Windows cannot open folders
            return
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ConfigError(
                f"output {folder}: in use, another command is writing there;"
                " wait until it has ended, or choose another folder"
            ) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS:
                raise
            log.warning(
                "output %s: this file system has no locks; let no other command write there",
                folder,
            )
            return
        self._descriptor = descriptor

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that a child process must inherit to hold the lock too."""
        return () if self._descriptor is None else (self._descriptor,)

    def close(self) -> None:
        """Release the lock in this process."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()
