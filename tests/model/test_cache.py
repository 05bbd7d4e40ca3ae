"""The cache takes no more room than it may, and is never in the way."""

import os
from pathlib import Path

import pytest

from icstream.model import cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_100(path: Path) -> None:
    path.write_bytes(bytes(100))


def test_the_oldest_graphs_go_when_there_is_no_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_MAX_BYTES", 250)
    for age, name in enumerate(("other", "a.bin", "b.xml"), start=1):
        kept = cache.keep(name, write_100)
        assert kept == folder / name
        os.utime(kept, (age, age))
    cache.keep("c.onnx", write_100)
    assert sorted(path.name for path in folder.iterdir()) == ["b.xml", "c.onnx", "other"]


def test_markers_of_earlier_versions_go(folder: Path) -> None:
    folder.mkdir()
    (folder / f"checked-{'0' * 64}").touch()
    cache.keep("a.blob", write_100)
    assert [path.name for path in folder.iterdir()] == ["a.blob"]


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ICSTREAM_CACHE", str(tmp_path / "file" / "cache"))
    assert cache.keep("a", write_100) is None
