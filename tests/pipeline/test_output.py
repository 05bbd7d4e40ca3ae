"""The manifest of an output folder."""

import json
import os
from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.pipeline.output import begin_manifest, check_output_files, is_no_file, write_json


def test_a_run_is_resumed_with_what_its_manifest_holds(tmp_path: Path) -> None:
    values = {"fit": {"size": (64, 96)}, "loop": 1}
    begin_manifest(tmp_path, values, resume=False)
    begin_manifest(tmp_path, values, resume=True)
    with pytest.raises(ConfigError, match="differs in fit"):
        begin_manifest(tmp_path, {**values, "fit": {"size": (96, 64)}}, resume=True)


def test_results_are_valid_json_and_utf_8(tmp_path: Path) -> None:
    values = {"weights": os.fsdecode(b"w\xe9.pt"), "more": [("\U0001f480 \n", 1.5, None)]}
    write_json(values, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_bytes().decode("utf-8", "strict")
    assert json.loads(text) == {"weights": r"w\xe9.pt", "more": [["\U0001f480 \n", 1.5, None]]}
    begin_manifest(tmp_path, values, resume=False)
    begin_manifest(tmp_path, values, resume=True)


def test_a_run_is_not_resumed_where_masks_may_come_out_otherwise(tmp_path: Path) -> None:
    values = {"loop": 1, "processor": "avx2 avx512_vnni fma", "library": "openvino 2026.4.1"}
    begin_manifest(tmp_path, values, resume=False)
    begin_manifest(tmp_path, values, resume=True)
    with pytest.raises(ConfigError) as caught:
        begin_manifest(tmp_path, {**values, "processor": "amx_int8 avx2 fma"}, resume=True)
    assert str(caught.value) == (
        f"output {tmp_path}: the earlier run differs in processor (there avx512_vnni, here"
        " amx_int8);"
        " resume with the same, or start over with --overwrite"
    )


def test_a_run_of_0_1_0_whose_manifest_names_no_processor_is_resumed(tmp_path: Path) -> None:
    begin_manifest(tmp_path, {"loop": 1}, resume=False)
    begin_manifest(tmp_path, {"loop": 1, "processor": "avx2", "library": "torch 2"}, resume=True)


def test_a_run_is_not_resumed_with_other_files_of_the_same_name_and_size(tmp_path: Path) -> None:
    values = {"loop": 1, "content": {"day": "1", "night": "2"}}
    begin_manifest(tmp_path, values, resume=False)
    begin_manifest(tmp_path, values, resume=True)
    with pytest.raises(ConfigError, match=r"files under the names of its sources \(night\)"):
        begin_manifest(tmp_path, {"loop": 1, "content": {"day": "1", "night": "3"}}, resume=True)


def test_a_run_whose_manifest_tells_nothing_of_content_is_resumed(tmp_path: Path) -> None:
    begin_manifest(tmp_path, {"loop": 1}, resume=False)
    begin_manifest(tmp_path, {"loop": 1, "content": {"day": "1"}}, resume=True)


def test_pipes_and_devices_are_written_into_and_not_replaced(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{writer}")  # as /dev/stdout is one
    try:
        for path, end in (
            (Path(f"/dev/fd/{writer}"), reader),
            (tmp_path / "stdout", reader),
            (tmp_path / "fifo", fifo),
        ):
            write_json({"frames": 3}, path)
            assert json.loads(os.read(end, 4096)) == {"frames": 3}
        write_json({"frames": 3}, Path("/dev/null"))
    finally:
        for descriptor in (reader, writer, fifo):
            os.close(descriptor)
    assert Path("/dev/null").is_char_device()
    assert (tmp_path / "stdout").is_symlink()
    assert (tmp_path / "fifo").is_fifo()
    with pytest.raises(OSError, match="No such device"):  # nobody reads it
        write_json({"frames": 3}, tmp_path / "fifo")
    with pytest.raises(ConfigError, match="is a device or a pipe, but a file is needed"):
        check_output_files([tmp_path / "fifo"], overwrite=True)


def test_files_and_links_to_files_are_no_pipes(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    (tmp_path / "link").symlink_to("a.json")
    assert not any(is_no_file(tmp_path / name) for name in ("a.json", "link", "missing", "."))


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 50_000])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError, match=r"run\.json: damaged, so the run cannot be resumed"):
        begin_manifest(tmp_path, {}, resume=True)
