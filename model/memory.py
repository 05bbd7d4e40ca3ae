"""The available memory, and the budget for allocations whose size depends on input.

Memory whose size a file or a client determines is reserved here before it is allocated: the system
rarely refuses an allocation, but kills processes once they write to the memory.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from icstream.model.errors import IcstreamError

MB = 1_000_000
_SHARE = 0.7
"""The share of available memory in a budget; the rest is for processes and their libraries."""
_UNLIMITED = 1 << 60
"""The smallest limit of a control group that means unlimited, for which version 1 has no other
value."""


class OverBudgetError(IcstreamError):
    """More memory is needed than is free in the budget; the text names both."""


class Reservation:
    """A reserved part of a budget, and a context manager that releases it."""

    def __init__(self, budget: "MemoryBudget", num_bytes: int) -> None:
        self._budget = budget
        self.num_bytes = num_bytes

    def release(self) -> None:
        """Release the bytes; further calls do nothing."""
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
    """A number of bytes that threads may reserve.

    Attributes:
        num_bytes: The size of the budget.
    """

    def __init__(self, num_bytes: int) -> None:
        """Create a budget of which all is free."""
        self.num_bytes = num_bytes
        self._lock = threading.Lock()
        self._reserved = 0

    @classmethod
    def settle(cls, limit_mb: int | None = None) -> "MemoryBudget":
        """Return a budget of a number of MB, or of a share of the memory that is available now."""
        if limit_mb is not None:
            return cls(limit_mb * MB)
        return cls(round(_SHARE * available_bytes()))

    @property
    def reserved(self) -> int:
        """The number of reserved bytes."""
        return self._reserved

    @property
    def free(self) -> int:
        """The number of free bytes."""
        return self.num_bytes - self._reserved

    def reserve(self, num_bytes: int, *, what: str) -> Reservation:
        """Return a reservation of bytes.

        Args:
            num_bytes: The number of bytes, at least 0.
            what: The purpose, as the subject of the error's sentence: "cam1: 7 frames of 1080x1920
                pixels".

        Raises:
            OverBudgetError: Fewer bytes are free.
        """
        with self._lock:
            if num_bytes > self.free:
                raise OverBudgetError(
                    f"{what}: needs {_in_mb(num_bytes)} of memory, {_in_mb(self.free)} of the"
                    f" allowed {_in_mb(self.num_bytes)} are free"
                )
            self._reserved += num_bytes
        return Reservation(self, num_bytes)

    def give_back(self, num_bytes: int) -> None:
        """Return reserved bytes to the budget; `Reservation.release` calls it."""
        with self._lock:
            self._reserved -= num_bytes


def available_bytes(root: Path = Path("/")) -> int:
    """Return the number of bytes that this process can use without swapping or killing.

    It is the minimum of the machine's available memory and of what the limits of the process's
    control groups (versions 1 and 2) leave, for example those of its container.

    Args:
        root: The folder of `proc` and `sys`.
    """
    machine = _meminfo(root).get("MemAvailable")
    if machine is None:  # not Linux
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(0, min([machine, *_left_by_groups(root)]))


def _meminfo(root: Path) -> dict[str, int]:
    """Return the values of /proc/meminfo, in bytes."""
    lines = _read(root / "proc" / "meminfo").splitlines()
    fields = (line.replace(":", " ").split() for line in lines)
    return {name: 1024 * int(count) for name, count, *unit in fields if unit == ["kB"]}


def _left_by_groups(root: Path) -> Iterator[int]:
    """Yield the bytes that each control group of the process leaves (cgroups(7), cgroup-v2)."""
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

    Within a container the path may be that of the host, so that only the mount itself exists.
    """
    group = mount / path.lstrip("/")
    return [folder for folder in (group, *group.parents) if folder.is_relative_to(mount)]


def _left(folder: Path, limits: list[int | None], *, used: str, prefix: str) -> Iterator[int]:
    usage = _number(folder / used)
    stated = [limit for limit in limits if limit is not None and limit < _UNLIMITED]
    if usage is None or not stated:
        return
    # Cached files count as used, but are dropped when memory is needed.
    lines = (line.split() for line in _read(folder / "memory.stat").splitlines())
    cached = {f"{prefix}{name}" for name in ("active_file", "inactive_file")}
    yield min(stated) - usage + sum(int(count) for name, count in lines if name in cached)


def _number(path: Path) -> int | None:
    """Return the number in a file, or None if it is missing or "max"."""
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:
        return ""


def _in_mb(num_bytes: int) -> str:
    return f"{max(0, num_bytes) / MB:,.0f} MB"
