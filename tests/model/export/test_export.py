"""Exported graphs: they do all that the segmenter does, and say what they are."""

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from numpy.typing import NDArray

from icstream.model import (
    Checkpoint,
    ConfigError,
    Fit,
    Scores,
    Segmenter,
    load_weights,
    prepare_input,
)
from icstream.model.calibrate import calibrate_ranges
from icstream.model.export.export import Format, export_model, open_exported
from icstream.model.export.graph import ExportGraph
from icstream.stages.streets import Street

pytestmark = pytest.mark.slow

Image = NDArray[np.uint8]
SIZE = (97, 150)
FILES: dict[Format, str] = {"onnx": "net.onnx", "openvino": "net.xml"}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_weights("streets")


def street(number: int, size: tuple[int, int] = SIZE) -> Image:
    return Street(30_000 + number, size=size).render(2.0 * number)[0]


def reference(checkpoint: Checkpoint, image: Image) -> Image:
    return Segmenter(checkpoint, runtime="torch", device="cpu", precision="fp32")(image)


@pytest.fixture(scope="module")
def onnx_file(
    checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Return an ONNX file for two images, and its description."""
    out = tmp_path_factory.mktemp("onnx") / FILES["onnx"]
    return out, export_model(checkpoint, out, size=SIZE, format="onnx", batch=2)


@pytest.fixture(scope="module")
def openvino_file(
    checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Return an OpenVINO file for two images, and its description."""
    out = tmp_path_factory.mktemp("openvino") / FILES["openvino"]
    return out, export_model(checkpoint, out, size=SIZE, format="openvino", batch=2)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_a_batch_of_images_gives_the_ids_of_the_segmenter(
    checkpoint: Checkpoint, request: pytest.FixtureRequest, format: Format
) -> None:
    out, facts = request.getfixturevalue(f"{format}_file")
    images = np.stack([street(0), street(1)])
    ids_NHW = open_exported(out, precision="fp32")(images)
    assert ids_NHW.dtype == np.uint8
    assert list(ids_NHW.shape) == facts["output"]["shape"]
    wanted = np.stack([reference(checkpoint, image) for image in images])
    assert len(np.unique(wanted)) >= 5
    assert (ids_NHW == wanted).mean() >= 0.9999
    left = {out.name, "net.bin"} if format == "openvino" else {out.name}
    assert {path.name for path in out.parent.iterdir()} == left


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_logits_lead_to_the_same_ids(
    checkpoint: Checkpoint, tmp_path: Path, format: Format
) -> None:
    out = tmp_path / FILES[format]
    facts = export_model(checkpoint, out, size=SIZE, format=format, form="logits")
    logits_NKhw = open_exported(out, precision="fp32")(street(0)[None])
    # 97 is 32 * 3 + 1 already, 150 becomes 161: nodes lie at 0, 8, ... 96 and at 0, 8, ... 160
    assert logits_NKhw.shape == (1, 11, 13, 21) == tuple(facts["output"]["shape"])
    ids_HW = Scores(logits_NKhw[0], Fit().geometry(SIZE)).class_ids()
    assert (ids_HW == reference(checkpoint, street(0))).mean() >= 0.9999


@pytest.mark.parametrize(
    "fit",
    [Fit(double_below=200), Fit("letterbox", (160, 224)), Fit("stretch", (129, 129))],
    ids=["doubled", "letterbox", "stretch"],
)
def test_images_are_fitted_in_the_graph_as_the_checkpoint_states(
    checkpoint: Checkpoint, fit: Fit
) -> None:
    fitted, image = replace(checkpoint, fit=fit), street(2)
    graph = ExportGraph(fitted, SIZE, "ids")
    geometry = fit.geometry(SIZE)
    prepared_hw3 = prepare_input(image, geometry, (124, 117, 104)).astype(np.int64)
    with torch.inference_mode():
        own_hw3 = graph._prepare(torch.from_numpy(image)[None].float())[0].numpy()
        ids_HW = graph(torch.from_numpy(image)[None])[0].numpy()
    assert np.abs(own_hw3 - prepared_hw3).max() <= 1
    assert (own_hw3 == prepared_hw3).mean() >= 0.97
    assert (ids_HW == reference(fitted, image)).mean() >= 0.998


def test_onnx_files_hold_their_description(
    checkpoint: Checkpoint, onnx_file: tuple[Path, dict[str, Any]]
) -> None:
    out, facts = onnx_file
    model = onnx.load(out)
    onnx.checker.check_model(model, full_check=True)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told.keys() == facts.keys()
    assert json.loads(told["classes"])[3] == ["Road", [128, 64, 128]]
    assert told["weights"] == checkpoint.digest()
    assert [entry.name for entry in model.graph.input] == ["rgb"]
    assert [entry.name for entry in model.graph.output] == ["ids"]
    assert {node.domain for node in model.graph.node} == {""}


def test_openvino_files_hold_their_description(
    checkpoint: Checkpoint, openvino_file: tuple[Path, dict[str, Any]]
) -> None:
    out, facts = openvino_file
    model = openvino.Core().read_model(out)
    told: dict[str, Any] = {
        key: model.get_rt_info(["icstream", key]).astype(str) for key in ("classes", "weights")
    }
    assert json.loads(told["classes"]) == facts["classes"]
    assert told["weights"] == checkpoint.digest()
    assert (model.input(0).any_name, model.output(0).any_name) == ("rgb", "ids")


def test_an_int8_file_is_quantized_and_close(checkpoint: Checkpoint, tmp_path: Path) -> None:
    calibrated = calibrate_ranges(checkpoint, [street(i) for i in range(50, 54)], calibrated_on="")
    out = tmp_path / "net.xml"
    export_model(calibrated, out, size=SIZE, format="openvino", precision="int8")
    kinds = [node.get_type_name() for node in openvino.Core().read_model(out).get_ops()]
    assert calibrated.ranges is not None
    assert kinds.count("FakeQuantize") > len(calibrated.ranges.highs)
    ids_NHW = open_exported(out, precision="int8")(street(0)[None])
    assert (ids_NHW[0] == reference(checkpoint, street(0))).mean() >= 0.97


def test_impossible_exports_are_refused_with_the_reason(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "net.onnx"
    with pytest.raises(ConfigError, match="size 63x100: sides from 64 to 8192"):
        export_model(checkpoint, out, size=(63, 100), format="onnx")
    with pytest.raises(ConfigError, match="only the format openvino"):
        export_model(checkpoint, out, size=SIZE, format="onnx", precision="int8")
    with pytest.raises(ConfigError, match="run icstream quantize first"):
        export_model(checkpoint, out, size=SIZE, format="openvino", precision="int8")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_names_the_extra(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else 1)
    with pytest.raises(ConfigError, match=rf"{package}, .* pip install 'icstream\[onnx\]'"):
        export_model(checkpoint, tmp_path / "net.onnx", size=SIZE, format="onnx")


@pytest.mark.parametrize("file_format", ["onnx", "openvino"])
def test_a_disk_that_fails_is_named_and_nothing_is_left(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: Format
) -> None:
    def fail_openvino(_model: object, path: Path, **_options: object) -> None:
        path.write_text("<net")
        raise RuntimeError("basic_ios::clear: iostream error")

    def fail(path: Path, content: bytes) -> int:
        path.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(openvino, "save_model", fail_openvino)
    monkeypatch.setattr(Path, "write_bytes", fail)
    out = tmp_path / ("x.onnx" if file_format == "onnx" else "x.xml")
    with pytest.raises(OSError, match=r"No space left|cannot write it") as caught:
        export_model(checkpoint, out, size=(64, 96), format=file_format)
    assert caught.value.filename == str(out)
    assert list(tmp_path.iterdir()) == []
