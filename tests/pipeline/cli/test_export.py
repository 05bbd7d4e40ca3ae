"""`icstream export` and `icstream quantize` as a user meets them."""

import json
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from icstream.model import Checkpoint, Segmenter, load_weights
from support.clips import make_clip
from support.commands import call, error_line
from support.street_samples import street_sample, write_streets

STREETS = ("--weights", "streets")


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three streets in CamVid's numbering: two in train, one in val."""
    return write_streets(tmp_path_factory.mktemp("data"), train=[0, 1], val=[2])


@pytest.mark.slow
def test_an_exported_file_is_checked_and_used_without_icstream(tmp_path: Path) -> None:
    out = tmp_path / "new" / "net.onnx"
    done = call("export", *STREETS, "--input-size", "96x64", "-o", out, "--json", "-")
    assert done.returncode == 0, done.stderr
    values = read(out.with_name("net.onnx.json"))
    assert values == json.loads(done.stdout)
    assert values["agreement"]["equal"] + values["agreement"]["near_ties"] == 8 * 64 * 96
    assert "8 frames of rendered streets: 100.0000 % of 49152 pixels equal" in done.stderr
    assert values["weights"] == load_weights("streets").digest()
    # What opset 18 needs at least (onnx/helper.py, VERSION_TABLE), so that old runtimes read it.
    assert onnx.load(out).ir_version == 8
    sample = street_sample(1, (64, 96))
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    (ids_NHW,) = session.run(None, {"rgb": sample.rgb_HW3[None]})
    own = Segmenter(load_weights("streets"), device="cpu", precision="fp32")
    assert (ids_NHW[0] == own(sample.rgb_HW3)).all()

    again = call("export", *STREETS, "--input-size", "96x64", "-o", out)
    assert again.returncode == 2
    assert "already exists; choose another file, or --overwrite" in again.stderr


@pytest.mark.slow
def test_openvino_files_are_checked_on_a_recording(tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", pts=(0, 1, 2)), tmp_path / "net.xml"
    options = ["--input-size", "96x64", "--form", "logits", "--check", clip, "-o", out]
    done = call("export", *STREETS, *options)
    assert done.returncode == 0, done.stderr
    values = read(tmp_path / "net.xml.json")
    assert values["agreement"]["frames"] == "clip.mp4"
    assert values["agreement"]["num_frames"] == 1  # they are 25 frames apart
    assert values["output"]["shape"] == [1, 11, 9, 13]
    assert sorted(p.name for p in tmp_path.glob("net*")) == ["net.bin", "net.xml", "net.xml.json"]


@pytest.mark.slow
def test_weights_are_quantized_once_and_then_run_in_int8(data: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    load_weights("streets").save(own)
    done = call("evaluate", data, "--weights", own, "--precision", "int8")
    assert done.returncode == 2
    assert "not calibrated; run icstream quantize first" in done.stderr

    done = call("quantize", data, "--weights", own, "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "60 convolutions calibrated on 2 images of " in done.stderr
    ranges = Checkpoint.load(own).ranges
    assert ranges is not None
    assert str(data) not in ranges.calibrated_on

    options = ["--write-agreement", "int8", "--precision", "int8", "--device", "cpu", "--json", "-"]
    done = call("evaluate", data, "--weights", own, *options)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["chosen"]["precision"] == "int8"
    assert 0.97 <= values["agreement"]["agreement"]["pixels"] < 1
    assert Checkpoint.load(own).ranges == ranges
    assert Checkpoint.load(own).agreement.keys() == {"bf16", "int8"}

    clip, out = make_clip(tmp_path / "clip.mp4", pts=(0, 1)), tmp_path / "net.xml"
    options = ["--precision", "int8", "--device", "cpu", "--sink", "png"]
    done = call("run", clip, "-o", tmp_path / "run", "--weights", own, *options)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "run" / "report.json")["chosen"]["precision"] == "int8"
    done = call(
        "export", "--weights", own, "--input-size", "96x64", "--precision", "int8", "-o", out
    )
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "net.xml.json")["precision"] == "int8"


@pytest.mark.slow
def test_the_runtime_onnx_runs_recordings(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=(0, 1))
    options = ["--runtime", "onnx", "--sink", "png", "--replicas", "1", "--device", "cpu"]
    done = call("run", clip, "-o", tmp_path / "out", *STREETS, *options)
    assert done.returncode == 0, done.stderr
    report = read(tmp_path / "out" / "report.json")
    assert (report["chosen"]["runtime"], report["chosen"]["precision"]) == ("onnx", "fp32")
    assert "onnxruntime" in report["host"]["packages"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--input-size", "96x64", "-o", "net.pt"],
            "net.pt: must end in .onnx (format onnx) or .xml (format openvino)",
        ),
        (
            ["--input-size", "96x64", "--format", "openvino", "-o", "net.onnx"],
            "must end in .onnx (format onnx) or .xml (format openvino)",
        ),
        (["--size", "96", "-o", "net.onnx"], "--size 96: a size must be HEIGHTxWIDTH"),
        (["--input-size", "96", "-o", "net.onnx"], "--input-size 96: a size must be WIDTHxHEIGHT"),
        (["-o", "net.onnx"], "export needs --input-size WIDTHxHEIGHT"),
        (
            ["--size", "64x96", "--input-size", "96x64", "-o", "net.onnx"],
            "--size is the old name of --input-size, which is also given; keep that",
        ),
        (["--size", "8x96", "-o", "net.onnx"], "size 8x96: sides from 64 to 8192"),
        (
            ["--input-size", "96x64", "--precision", "int8", "-o", "net.onnx"],
            "only the format openvino",
        ),
        (["--input-size", "96x64", "-o", "net.xml", "--check", "none.mp4"], "none.mp4"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    places = [str(tmp_path / a) if a.startswith("net.") else a for a in arguments]
    done = call("export", *STREETS, *places)
    assert done.returncode == 2
    assert words in error_line(done, after_log=True)


def test_quantize_refuses_what_it_cannot_use(data: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    load_weights("streets").save(own)
    for arguments, words in [
        ([data, *STREETS], "a weights file that can be written, got streets"),
        ([tmp_path / "none", "--weights", own], "no such folder"),
        ([data, "--weights", own, "--split", "test"], "no samples in the split 'test'"),
    ]:
        done = call("quantize", *arguments)
        assert done.returncode == 2
        assert words in error_line(done, after_log=True)
    assert Checkpoint.load(own).ranges is None


def test_old_names_of_quantizing_work_with_one_warning_each(data: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    load_weights("streets").save(own)
    done = call("quantise", data, "--weights", own, "--pictures", 1)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "warning" in line] == [
        "icstream: warning: icstream quantise is now called icstream quantize",
        "icstream: warning: --pictures is now called --images",
    ]
    ranges = Checkpoint.load(own).ranges
    assert ranges is not None
    assert ranges.calibrated_on.startswith("1 images of ")
    both = call("quantize", data, "--weights", own, "--pictures", 3, "--images", 4)
    assert both.returncode == 2
    assert "--pictures is the old name of --images, which is also given" in both.stderr
    assert "quantise" not in call("--help").stdout
    assert "quantise is now called icstream quantize" in call("quantise", "--help").stdout
    assert "--pictures" not in call("quantize", "--help").stdout
