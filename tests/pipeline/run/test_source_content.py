"""Whether a source is still the one that a run began with."""

import os
import shutil
from pathlib import Path

import pytest

from icstream.pipeline.run.source_content import content_digest


def test_a_copy_elsewhere_at_another_time_is_as_good(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "a.mp4").write_bytes(os.urandom(3_000_000))
    shutil.copyfile(tmp_path / "a.mp4", tmp_path / "there" / "a.mp4")
    os.utime(tmp_path / "there" / "a.mp4", ns=(1, 1))
    assert content_digest([tmp_path / "a.mp4"]) == content_digest([tmp_path / "there" / "a.mp4"])


@pytest.mark.parametrize("num_bytes", [1, 70_000, 1_000_000, 3_000_000])
def test_another_recording_of_the_same_size_is_another(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(num_bytes))
    before = content_digest([path])
    for place in (0, num_bytes // 15 * 7, num_bytes - 1):
        changed = bytearray(num_bytes)
        changed[place] = 1
        path.write_bytes(changed)
        assert content_digest([path]) != before


def test_images_count_with_their_names_sizes_and_content(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:04}.png" for number in range(600)]
    for path in paths:
        path.write_bytes(b"abcd")
    before = content_digest(paths)
    assert content_digest(paths[:-1]) != before
    paths[301].write_bytes(b"abcde")
    assert content_digest(paths) != before
    paths[301].write_bytes(b"abcd")
    assert content_digest(paths) == before
    paths[-1].write_bytes(b"abcx")
    assert content_digest(paths) != before


def test_what_cannot_be_read_is_no_error_here(tmp_path: Path) -> None:
    assert content_digest([tmp_path / "missing.mp4"]) == content_digest([tmp_path / "gone.mp4"])
