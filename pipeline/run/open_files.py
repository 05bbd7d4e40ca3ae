"""The limit on open files, beyond which libzmq aborts the process."""

import resource

from icstream.model import ConfigError

_BASE = 48
"""Open files of the hub that do not depend on workers: libraries, listeners, the output folder."""
_PER_WORKER = 3
"""Open files per worker: its connection, its heartbeat's connection, and its error pipe."""


def allow_open_files(num_workers: int) -> None:
    """Raise this process's limit on open files to the need of a run with so many workers.

    Raises:
        ConfigError: the system does not allow so many open files.
    """
    needed = _BASE + _PER_WORKER * num_workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"the limit on open files is {hard} (ulimit -n), but {num_workers} worker processes"
            f" need {needed}; raise the limit, or process fewer streams at a time"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
