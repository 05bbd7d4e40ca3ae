"""int8: its ranges, what they do to a graph, and how close the masks stay."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import openvino
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from openvino import opset13

from icstream.model import (
    Agreement,
    Checkpoint,
    CheckpointError,
    ConfigError,
    Segmenter,
    load_weights,
    prepare_input,
)
from icstream.model.activation_ranges import Ranges
from icstream.model.calibrate import KEPT, calibrate_ranges
from icstream.model.deploy import DeployGraph
from icstream.model.icnet import halve
from icstream.model.runtimes import Precision, cpu_does_bf16, cpu_does_int8, select_runtime
from icstream.model.runtimes.cpu import int8_sums_saturate
from icstream.model.runtimes.graph_conversion import to_openvino
from icstream.model.runtimes.quantize import quantize_graph
from icstream.stages.streets import Street

pytestmark = pytest.mark.slow

Image = NDArray[np.uint8]
_PRECISIONS: tuple[Precision, ...] = ("int8", "fp32")

Beside = Literal["bf16", "fp32"]
_BESIDE: tuple[Beside, ...] = ("bf16", "fp32") if cpu_does_bf16() else ("fp32",)
"""What the rest can be computed in here."""
_HINTS = {"bf16": "bf16", "fp32": "f32"}


def streets(first: int, count: int) -> list[Image]:
    return [Street(first + i, size=(180, 240)).render(3.0 * i)[0] for i in range(count)]


@pytest.fixture(scope="module")
def plain() -> Checkpoint:
    return load_weights("streets")


@pytest.fixture(scope="module")
def calibrated(plain: Checkpoint) -> Checkpoint:
    return calibrate_ranges(plain, streets(100, 6), calibrated_on="six streets")


def quantized_graph(
    checkpoint: Checkpoint, size: tuple[int, int], beside: Beside
) -> openvino.Model:
    example_NHW3 = torch.zeros((1, *size, 3), dtype=torch.uint8)
    model = to_openvino(DeployGraph(checkpoint), [example_NHW3])
    assert checkpoint.ranges is not None
    quantize_graph(model, checkpoint.ranges, beside=beside)
    return model


def test_a_range_is_the_mean_of_the_largest_values(
    plain: Checkpoint, calibrated: Checkpoint
) -> None:
    network, largest = plain.build(), []
    geometry = plain.fit.geometry((180, 240))
    with torch.inference_mode():
        for image in streets(100, 6):
            padded = torch.from_numpy(prepare_input(image, geometry, (124, 117, 104)))
            x_HW3 = padded.float() - torch.tensor(plain.preprocessing.mean_rgb)
            x_NCHW = x_HW3.flip(-1).permute(2, 0, 1)[None]
            y_NCHW = halve(x_NCHW)
            for convolution in (network.conv1_1, network.conv1_2, network.conv1_3):
                y_NCHW = F.relu(convolution(y_NCHW))
            largest.append(float(y_NCHW.max()))  # pooling by maxima does not change it
    assert calibrated.ranges is not None
    assert calibrated.ranges.highs["conv2.0.reduce"] == pytest.approx(np.mean(largest), rel=1e-4)


def test_every_convolution_has_a_range_or_a_reason(calibrated: Checkpoint) -> None:
    assert calibrated.ranges is not None
    names = {n.removesuffix(".weight").removesuffix(".conv") for n in calibrated.tensors}
    convolutions = {n for n in names if not re.search(r"\.norm|\.bias|\.aux$", n)}
    assert convolutions == KEPT | set(calibrated.ranges.highs)


def test_ranges_stay_in_the_file_and_are_part_of_the_digest(
    plain: Checkpoint, calibrated: Checkpoint, tmp_path: Path
) -> None:
    calibrated.save(tmp_path / "own.safetensors")
    loaded = Checkpoint.load(tmp_path / "own.safetensors")
    assert loaded.ranges == calibrated.ranges
    assert loaded.digest() == calibrated.digest() != plain.digest()


def test_calibration_drops_what_was_stated_of_earlier_ranges(plain: Checkpoint) -> None:
    stated = Agreement(1.0, 0.0, "")
    before = replace(plain, agreement={"bf16": stated, "int8": stated})
    assert calibrate_ranges(before, streets(100, 1), calibrated_on="").agreement.keys() == {"bf16"}


def test_a_quantized_convolution_computes_as_defined() -> None:
    """Expected: the definition of FakeQuantize, in the specification of OpenVINO's operations.

    Where the CPU has no dot products of eight-bit numbers: sums of pairs that saturate, as Intel's
    manual defines VPMADDUBSW.
    """
    random = np.random.default_rng(0)
    x_1CHW = random.uniform(0, 8, (1, 4, 9, 9)).astype(np.float32)
    weight_OIhw = random.normal(0, 1, (3, 4, 1, 1)).astype(np.float32)
    entry = opset13.parameter([1, 4, 9, 9], np.float32)
    convolution = opset13.convolution(
        opset13.relu(entry), opset13.constant(weight_OIhw), [1, 1], [0, 0], [0, 0], [1, 1]
    )
    convolution.set_friendly_name("__module.icnet.conv1_2.conv/aten::_convolution/Convolution")
    model = openvino.Model([convolution], [entry])
    quantize_graph(model, Ranges({"conv1_2": 6.0}, ""), beside="fp32")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    got = openvino.Core().compile_model(model, "CPU", settings)([x_1CHW])[0]
    x_steps = np.rint(np.clip(x_1CHW, 0, 6) / (6 / 255))
    scales_O = np.abs(weight_OIhw).max((1, 2, 3)) / 127
    weight_steps = np.rint(weight_OIhw[..., 0, 0] / scales_O[:, None])
    products = np.einsum("oc,ncyx->nocyx", weight_steps, x_steps)
    pairs = products.reshape(1, 3, 2, 2, 9, 9).sum(3)
    if int8_sums_saturate():
        pairs = pairs.clip(-(2**15), 2**15 - 1)
    wanted = pairs.sum(2) * scales_O[:, None, None] * (6 / 255)
    assert np.allclose(got, wanted, atol=1e-3)
    assert not np.allclose(got, np.einsum("oc,ncyx->noyx", weight_OIhw[..., 0, 0], x_1CHW), 1e-3)


@pytest.mark.parametrize("beside", _BESIDE)
def test_convolutions_run_in_eight_bits_where_it_pays(
    calibrated: Checkpoint, beside: Beside
) -> None:
    settings = {"INFERENCE_PRECISION_HINT": _HINTS[beside]}
    model = quantized_graph(calibrated, (193, 257), beside)
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    facts = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    kinds = [
        fact["runtimePrecision"].astype(str)
        for fact in facts
        if fact["layerType"].astype(str) == "Convolution"
    ]
    assert calibrated.ranges is not None
    num_left = 4 if beside == "bf16" else 0
    assert kinds.count("u8") == len(calibrated.ranges.highs) - num_left
    assert kinds.count(_HINTS[beside]) == len(KEPT) + num_left


@pytest.mark.parametrize("size", [(180, 240), (130, 300)])
def test_int8_stays_close_at_any_size(calibrated: Checkpoint, size: tuple[int, int]) -> None:
    shown = [Street(30_000 + i, size=size).render(2.0 * i)[0] for i in range(4)]
    int8, fp32 = (
        Segmenter(calibrated, runtime="openvino", device="cpu", precision=p) for p in _PRECISIONS
    )
    share = np.mean([(int8(image) == fp32(image)).mean() for image in shown])
    assert 0.98 <= share < 1, "int8 was not used"


def test_int8_scores_do_not_depend_on_the_number_of_streams(calibrated: Checkpoint) -> None:
    shown = [
        np.random.default_rng(i).integers(0, 256, (1, 193, 257, 3), np.uint8) for i in range(6)
    ]
    beside = _BESIDE[0]
    results, model = [], quantized_graph(calibrated, (193, 257), beside)
    for num_streams in (1, 2):
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[beside],
            "INFERENCE_NUM_THREADS": num_streams,
            "NUM_STREAMS": num_streams,
        }
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        requests = [compiled.create_infer_request() for _ in shown]
        for request, image in zip(requests, shown, strict=True):
            request.start_async([image])
        for request in requests:
            request.wait()
        results.append([request.get_output_tensor(0).data.copy() for request in requests])
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ranges_change_nothing_in_other_precisions(
    plain: Checkpoint, calibrated: Checkpoint, precision: str
) -> None:
    if precision == "bf16" and not cpu_does_bf16():
        pytest.skip("this processor has no bf16 instructions")
    (shown,) = streets(30_000, 1)
    one, other = (
        Segmenter(checkpoint, runtime="openvino", device="cpu", precision=precision)(shown)  # type: ignore[arg-type]
        for checkpoint in (plain, calibrated)
    )
    assert (one == other).all()


def test_wrong_ranges_are_refused(plain: Checkpoint) -> None:
    for high in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="for conv1_2, allowed are numbers above 0"):
            Ranges({"conv1_2": high}, "")
    with pytest.raises(ConfigError, match="got none"):
        Ranges({}, "")
    unknown = replace(plain, ranges=Ranges({"conv9": 1.0}, ""))
    with pytest.raises(CheckpointError, match="no convolution conv9"):
        quantized_graph(unknown, (65, 65), "fp32")
    with pytest.raises(ConfigError, match="no images"):
        calibrate_ranges(plain, [], calibrated_on="")


def test_int8_needs_ranges_and_auto_a_measured_agreement(
    plain: Checkpoint, calibrated: Checkpoint
) -> None:
    with pytest.raises(ConfigError, match="not calibrated; run icstream quantize first"):
        select_runtime(plain, device="cpu", precision="int8")
    assert select_runtime(calibrated, device="cpu", precision="int8").precision == "int8"
    is_fast = cpu_does_bf16() or cpu_does_int8()
    close, far = Agreement(0.995, -0.1, ""), Agreement(0.98, -0.1, "")
    for stated, wanted in [
        ({}, "fp32"),
        ({"int8": close, "bf16": close}, "int8" if is_fast else "fp32"),
        ({"int8": far, "bf16": close}, "bf16" if cpu_does_bf16() else "fp32"),
    ]:
        checkpoint = replace(calibrated, agreement=stated)
        assert select_runtime(checkpoint, device="cpu").precision == wanted
    stale = replace(plain, agreement={"int8": close})
    assert select_runtime(stale, device="cpu").precision == "fp32"
