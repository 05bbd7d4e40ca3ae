"""Budgets of memory, and where their size comes from."""

import threading
from pathlib import Path

import pytest

from icstream.model.memory import MemoryBudget, OverBudgetError, Reservation, available_bytes

MIB = 1 << 20


def machine(root: Path, files: dict[str, str], *, available_mib: int = 8000) -> Path:
    """Write a /proc and /sys as Linux has them (proc(5), cgroups(7))."""
    meminfo = f"MemTotal:  16000 kB\nMemAvailable:  {available_mib * 1024} kB\nHugePages_Total: 0\n"
    for name, text in {"proc/meminfo": meminfo, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_takes_what_the_machine_has_available(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path, {})) == 8000 * MIB


def test_takes_what_a_container_leaves_and_not_what_its_host_has(tmp_path: Path) -> None:
    group = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": "0::/\n",
        f"{group}/memory.max": f"{500 * MIB}\n",
        f"{group}/memory.high": "max\n",
        f"{group}/memory.current": f"{300 * MIB}\n",
        # Cached files are let go of when memory is needed.
        f"{group}/memory.stat": f"anon {100 * MIB}\ninactive_file {150 * MIB}\nactive_file 0\n",
    }
    assert available_bytes(machine(tmp_path, files)) == (500 - 300 + 150) * MIB


def test_the_narrowest_of_nested_groups_counts(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/a.slice/b.scope\n"}
    for group, limit in {"a.slice": 400, "a.slice/b.scope": 900}.items():
        files[f"sys/fs/cgroup/{group}/memory.max"] = str(limit * MIB)
        files[f"sys/fs/cgroup/{group}/memory.current"] = str(50 * MIB)
    assert available_bytes(machine(tmp_path, files)) == 350 * MIB


@pytest.mark.parametrize(
    ("folder", "path"), [("job", "/job"), (".", "/docker/0123")], ids=["host", "container"]
)
def test_reads_groups_of_version_1(tmp_path: Path, folder: str, path: str) -> None:
    group = f"sys/fs/cgroup/memory/{folder}"
    files = {
        "proc/self/cgroup": f"5:devices:/x\n4:memory:{path}\n0::/\n",
        f"{group}/memory.limit_in_bytes": str(200 * MIB),
        f"{group}/memory.usage_in_bytes": str(40 * MIB),
        f"{group}/memory.stat": f"inactive_file 1\ntotal_inactive_file {10 * MIB}\n",
    }
    assert available_bytes(machine(tmp_path, files)) == 170 * MIB


def test_a_group_without_a_limit_counts_for_nothing(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory"
    files = {
        "proc/self/cgroup": "4:memory:/\n0::/\n",
        f"{group}/memory.limit_in_bytes": "9223372036854771712\n",  # what the kernel has for none
        f"{group}/memory.usage_in_bytes": str(9 * MIB),
    }
    assert available_bytes(machine(tmp_path, files)) == 8000 * MIB


def test_this_machine_has_memory() -> None:
    assert 0 < MemoryBudget.settle().num_bytes < available_bytes() + 100 * MIB


def test_what_is_not_free_is_refused_in_one_line_with_the_numbers() -> None:
    budget = MemoryBudget.settle(limit_mb=1000)
    first = budget.reserve(600_000_000, what="a.mp4")
    with pytest.raises(OverBudgetError) as refused:
        budget.reserve(500_000_000, what="b.mp4: 7 frames of 4000x4000 pixels")
    assert str(refused.value) == (
        "b.mp4: 7 frames of 4000x4000 pixels: needs 500 MB of memory,"
        " 400 MB of the allowed 1,000 MB are free"
    )
    assert budget.reserved == 600_000_000
    first.release()
    first.release()
    with budget.reserve(1_000_000_000, what="b.mp4"):
        assert budget.free == 0
    assert budget.free == budget.num_bytes


def test_threads_do_not_reserve_the_same_bytes() -> None:
    budget = MemoryBudget(1000)
    got: list[Reservation | None] = []

    def reserve() -> None:
        try:
            got.append(budget.reserve(300, what="a request"))
        except OverBudgetError:
            got.append(None)

    threads = [threading.Thread(target=reserve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(entry is not None for entry in got) == 3
    assert budget.reserved == 900
