"""The manifest of an output folder."""

import json
import os
from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.pipeline.output import begin_manifest, write_json


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


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 50_000])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError, match=r"run\.json: damaged, so the run cannot be resumed"):
        begin_manifest(tmp_path, {}, resume=True)
