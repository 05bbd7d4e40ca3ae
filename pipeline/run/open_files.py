"""The limit of open files, which libzmq does not survive."""

import resource

from icstream.model import ConfigError

_BASE = 48
"""Open files of the hub that do not depend on workers: libraries, listeners, the output folder."""
_PER_WORKER = 3
"""The connection of a worker, that of its heartbeat, and the pipe of its errors."""


def allow_open_files(num_workers: int) -> None:
    """Raise the limit of open files of this process to what a run with so many workers needs.

    Raises:
        ConfigError: the system does not allow so many.
    """
    needed = _BASE + _PER_WORKER * num_workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"the limit of open files is {hard} (ulimit -n), and {num_workers} worker processes"
            f" need {needed}; raise it, or process fewer streams at a time"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
