"""The cache takes no more room than it may, believes nothing, and is never in the way."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icstream.model import cache

FULL = 2 * (100 + 32) + 50
"""Room for two files of 100 bytes, each with its digest."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_oldest_graphs_go_when_there_is_no_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_MAX_BYTES", FULL)
    for age, name in enumerate(("other", "a.bin", "b.xml"), start=1):
        cache.store(name, bytes(100))
        os.utime(folder / name, (age, age))
    cache.store("c.onnx", bytes(100))
    assert sorted(path.name for path in folder.iterdir()) == ["b.xml", "c.onnx", "other"]


def test_what_is_used_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MAX_BYTES", FULL)
    for age, name in enumerate(("a.blob", "b.blob"), start=1):
        cache.store(name, bytes(100))
        os.utime(folder / name, (age, age))
    assert cache.load("a.blob") == bytes(100)
    cache.store("c.blob", bytes(100))
    assert sorted(path.name for path in folder.iterdir()) == ["a.blob", "c.blob"]


def test_markers_of_earlier_versions_go(folder: Path) -> None:
    folder.mkdir()
    (folder / f"checked-{'0' * 64}").touch()
    cache.store("a.blob", bytes(100))
    assert [path.name for path in folder.iterdir()] == ["a.blob"]


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ICSTREAM_CACHE", str(tmp_path / "file" / "cache"))
    cache.store("a", b"x")
    assert cache.load("a") is None


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def zero(content: bytes) -> bytes:
    return bytes(len(content))


def flip_one_bit(content: bytes) -> bytes:
    return content[:50] + bytes([content[50] ^ 1]) + content[51:]


@pytest.mark.parametrize("damage", [cut, zero, flip_one_bit, lambda _: b""])
def test_a_damaged_file_is_not_read_but_removed_with_one_line(
    folder: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    assert callable(damage)
    cache.store("a.blob", bytes(range(100)))
    path = folder / "a.blob"
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert cache.load("a.blob") is None
        assert cache.load("a.blob") is None
    assert [record.getMessage() for record in caplog.records] == [
        f"cache {path}: damaged; making it again"
    ]
    assert not path.exists()


def test_a_file_is_read_under_its_own_name_only(folder: Path) -> None:
    cache.store("a.blob", b"of a")
    (folder / "a.blob").rename(folder / "b.blob")
    assert cache.load("b.blob") is None


def test_what_others_could_have_put_there_is_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store("a.blob", b"mine")
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "b.blob").symlink_to(folder / "a.blob")
    os.mkfifo(folder / "c.blob")
    assert [cache.load(name) for name in ("b.blob", "c.blob")] == [None, None]
    monkeypatch.setattr("os.getuid", lambda: 12345)
    expected = b"mine" if (folder / "a.blob").stat().st_uid == 0 else None
    assert cache.load("a.blob") == expected  # what root put there is trusted


def test_in_a_folder_that_others_may_write_to_there_is_one_that_they_may_not(
    folder: Path,
) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "a.blob").write_bytes(b"theirs")
    cache.store("a.blob", b"mine")
    assert cache.load("a.blob") == b"mine"
    assert (folder / "a.blob").read_bytes() == b"theirs"
    assert (folder / f"private-{os.getuid()}").stat().st_mode & 0o777 == 0o700


LOOPS = """
from icstream.model.jit import compiled

@compiled
def double(number):
    return 2 * number

@compiled
def double_twice(number):
    return double(double(number))

print(double_twice(3), *double_twice.stats.cache_hits.values())
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["beside", "in the cache"])
def test_loops_that_were_damaged_on_the_disk_are_compiled_again(
    folder: Path, tmp_path: Path, place: str
) -> None:
    script = tmp_path / "loops.py"
    script.write_text(LOOPS)
    beside = tmp_path / "__pycache__"
    beside.mkdir()
    if place == "in the cache":
        beside.chmod(0o777)  # nobody knows who put there what
        (beside / "double-0.loop").touch()
    else:
        folder = beside

    def run_loops() -> list[str]:
        command = [sys.executable, str(script)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert run_loops() == ["12"]
    assert run_loops() == ["12", "1"]  # from the cache
    loops = list(folder.glob("*.loop"))
    assert loops
    for path in loops:
        path.write_bytes(bytes(path.stat().st_size))
    assert run_loops() == ["12"]
    assert run_loops() == ["12", "1"]
    script.write_text(LOOPS.replace("2 * number", "5 * number"))
    assert run_loops() == ["75"]
