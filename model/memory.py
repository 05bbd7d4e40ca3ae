"""How much memory there is, and a budget that everything sized by input is taken from.

Memory of a size that a file or a client states is reserved here before it is allocated: the system
rarely refuses an allocation, it ends processes once the memory is written to.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from icstream.model.errors import IcstreamError

MB = 1_000_000
_SHARE = 0.7
"""Of the available memory, what a budget has: the rest is for processes and their libraries."""
_UNLIMITED = 1 << 60
"""From here on, what a control group states is no limit; version 1 has no word for none."""


class OverBudgetError(IcstreamError):
    """Something needs more memory than is free in the budget; the text names both."""


class Reservation:
    """A part of a budget, until it is released; also a context manager that releases it."""

    def __init__(self, budget: "MemoryBudget", num_bytes: int) -> None:
        self._budget = budget
        self.num_bytes = num_bytes

    def release(self) -> None:
        """Give the bytes back; a second time does nothing."""
        num_bytes, self.num_bytes = self.num_bytes, 0
        self._budget.give_back(num_bytes)

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class MemoryBudget:
    """Bytes that may be reserved, by any thread.

    Attributes:
        num_bytes: All of them.
    """

    def __init__(self, num_bytes: int) -> None:
        """Begin with everything free."""
        self.num_bytes = num_bytes
        self._lock = threading.Lock()
        self._reserved = 0

    @classmethod
    def settle(cls, limit_mb: int | None = None) -> "MemoryBudget":
        """Return a budget of so many MB, or of a share of the memory that is available now."""
        if limit_mb is not None:
            return cls(limit_mb * MB)
        return cls(round(_SHARE * available_bytes()))

    @property
    def reserved(self) -> int:
        """How many bytes are reserved."""
        return self._reserved

    @property
    def free(self) -> int:
        """How many bytes are not reserved."""
        return self.num_bytes - self._reserved

    def reserve(self, num_bytes: int, *, what: str) -> Reservation:
        """Return a reservation of so many bytes.

        Args:
            num_bytes: How many; at least 0.
            what: Names what they are for, as the subject of a sentence: "cam1: 7 frames of
                1080x1920 pixels".

        Raises:
            OverBudgetError: So many are not free.
        """
        with self._lock:
            if num_bytes > self.free:
                raise OverBudgetError(
                    f"{what}: needs {_in_mb(num_bytes)} of memory,"
                    f" {_in_mb(self.free)} of the allowed {_in_mb(self.num_bytes)} are free"
                )
            self._reserved += num_bytes
        return Reservation(self, num_bytes)

    def give_back(self, num_bytes: int) -> None:
        """Let others have bytes that were reserved; `Reservation.release` calls it."""
        with self._lock:
            self._reserved -= num_bytes


def available_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes this process can use without others being ended or swapped out.

    It is the least of what the machine has available and what the limits of the process's control
    groups (versions 1 and 2) leave, for example those of its container.

    Args:
        root: Where `proc` and `sys` are.
    """
    machine = _meminfo(root).get("MemAvailable")
    if machine is None:  # not Linux
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(0, min([machine, *_left_by_groups(root)]))


def _meminfo(root: Path) -> dict[str, int]:
    """Return the lines of /proc/meminfo, in bytes."""
    lines = _read(root / "proc" / "meminfo").splitlines()
    fields = (line.replace(":", " ").split() for line in lines)
    return {name: 1024 * int(count) for name, count, *unit in fields if unit == ["kB"]}


def _left_by_groups(root: Path) -> Iterator[int]:
    """Yield what each control group above the process leaves it (cgroups(7), cgroup-v2)."""
    mount = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for folder in _with_parents(mount, path):
                limits = [_number(folder / name) for name in ("memory.max", "memory.high")]
                yield from _left(folder, limits, used="memory.current", prefix="")
        elif "memory" in controllers.split(","):
            for folder in _with_parents(mount / "memory", path):
                limits = [_number(folder / "memory.limit_in_bytes")]
                yield from _left(folder, limits, used="memory.usage_in_bytes", prefix="total_")


def _with_parents(mount: Path, path: str) -> list[Path]:
    """Return the folder of a control group and those above it, up to the mount.

    Within a container the path may be that of the host, and only the mount itself be there.
    """
    group = mount / path.lstrip("/")
    return [folder for folder in (group, *group.parents) if folder.is_relative_to(mount)]


def _left(folder: Path, limits: list[int | None], *, used: str, prefix: str) -> Iterator[int]:
    usage = _number(folder / used)
    stated = [limit for limit in limits if limit is not None and limit < _UNLIMITED]
    if usage is None or not stated:
        return
    # Cached files count as used, and are let go of when memory is needed.
    lines = (line.split() for line in _read(folder / "memory.stat").splitlines())
    cached = {f"{prefix}{name}" for name in ("active_file", "inactive_file")}
    yield min(stated) - usage + sum(int(count) for name, count in lines if name in cached)


def _number(path: Path) -> int | None:
    """Return the number in a file; None if it is not there, or says "max"."""
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:
        return ""


def _in_mb(num_bytes: int) -> str:
    return f"{max(0, num_bytes) / MB:,.0f} MB"
