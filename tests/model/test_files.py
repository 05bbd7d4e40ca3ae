"""Files are replaced as a whole or not at all."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from icstream.model.files import reserved_space, write_atomically


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_bytes_replace_the_file_and_nothing_lies_beside_it(
    tmp_path: Path, durable: bool, shared: bool
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    write_atomically(path, b"new", durable=durable, shared=shared)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.parametrize("shared", [False, True])
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path, shared: bool) -> None:
    for name in (255 * "a", 127 * "é" + "b"):
        write_atomically(tmp_path / name, b"new", durable=False, shared=shared)
        assert os.listdir(tmp_path) == [name]
        (tmp_path / name).unlink()


def test_a_writer_sees_the_old_file_until_it_has_returned(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def write(partial: Path) -> None:
        assert partial.parent == tmp_path
        partial.write_bytes(b"new")
        assert path.read_bytes() == b"old"

    write_atomically(path, write, durable=True)
    assert path.read_bytes() == b"new"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def fail(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise RuntimeError("no more room")

    with pytest.raises(RuntimeError, match="no more room"):
        write_atomically(path, fail, durable=False)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_space_that_is_reserved_is_free_again_afterwards(tmp_path: Path) -> None:
    def held() -> list[int]:
        """The sizes on disk of open files in the folder; some descriptors vanish meanwhile."""
        found = []
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if str(tmp_path) in os.readlink(path):
                    found.append(path.stat().st_blocks * 512)
        return found

    with reserved_space(tmp_path, 1_000_000):
        assert os.listdir(tmp_path) == []
        sizes = held()
    if not sizes:
        pytest.skip("this file system has no files without a name")
    assert sizes[0] >= 1_000_000
    assert held() == []


def test_an_error_names_the_file_that_does_not_fit(tmp_path: Path) -> None:
    def copy(_partial: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "source.mp4")

    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / "copy.mp4", copy, durable=False)
    assert caught.value.filename == str(tmp_path / "copy.mp4")


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"", durable=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_link_that_a_killed_process_left_is_not_written_through(tmp_path: Path) -> None:
    original, path = tmp_path / "original", tmp_path / "copy"
    original.write_bytes(b"recording")
    os.link(original, tmp_path / "copy.partial")
    write_atomically(path, b"new", durable=False)
    assert original.read_bytes() == b"recording"


def test_a_link_to_the_same_file_leaves_no_second_one(tmp_path: Path) -> None:
    original, path = tmp_path / "original", tmp_path / "copy"
    original.write_bytes(b"recording")
    for _ in range(2):  # replacing a link by another to the same file does nothing
        write_atomically(path, lambda partial: os.link(original, partial), durable=False)
    assert sorted(os.listdir(tmp_path)) == ["copy", "original"]
