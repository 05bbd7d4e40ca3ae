"""The lock on a folder of results: one owner at a time."""

import errno
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from icstream.model.errors import ConfigError

log = logging.getLogger(__name__)

_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems answer that cannot lock a folder."""


class FolderLock:
    """The right to write into a folder, until it is closed here and in all who inherited it.

    The folder itself is locked (flock), so there is no file that could be left, planted or
    removed, and the system gives the lock up for a process that is killed. A child process that
    inherits the descriptor holds the same lock: it lasts as long as the longest of them.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock without waiting; on a file system without locks, warn that there is none.

        Args:
            folder: which exists.

        Raises:
            ConfigError: another process has it.
            OSError: the folder cannot be opened.
        """
        self._descriptor: int | None = None
        if os.name != "posix":  # Windows opens no folders
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
        """Descriptors that a child process must inherit to hold the lock too."""
        return () if self._descriptor is None else (self._descriptor,)

    def close(self) -> None:
        """Give the lock up in this process."""
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
