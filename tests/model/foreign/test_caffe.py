"""The authors' caffemodels against their own prototxt, computed layer by layer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from icstream.model import (
    CITYSCAPES,
    Checkpoint,
    CheckpointError,
    ConversionError,
    Fit,
    LabelSet,
    Preprocessing,
    convert,
)
from support.caffe_files import (
    Blobs,
    Form,
    blob,
    bytes_field,
    caffe_outputs,
    caffemodel,
    layer,
    merged,
    number_field,
    random_blobs,
    varint,
)

NARROW = 1 / 16
SCALE = (0.5, 2.0, 1.25)
TWO = LabelSet.from_values([("a", (0, 0, 0)), ("b", (9, 9, 9))])


def converted(blobs: Blobs, folder: Path, form: Form = "new", name: str = "n") -> Checkpoint:
    path = folder / f"{name}.caffemodel"
    path.write_bytes(caffemodel(blobs, form=form))
    return convert(path).checkpoint


def image(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(1, 3, height, width, generator=generator) * 255 - 110


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.slow
@torch.inference_mode()
def test_all_heads_equal_the_prototxts_at_the_authors_size(tmp_path: Path) -> None:
    blobs = random_blobs(NARROW, scale=SCALE)
    model = converted(blobs, tmp_path).build().double()
    x = image(1025, 2049).double()
    expected = caffe_outputs(blobs, x)
    sub124, sub24, sub4 = model.branch_logits(x)
    assert relative_error(sub24, expected["conv6_sub2"]) < 1e-6
    assert relative_error(sub4, expected["conv6_sub4"]) < 1e-6
    assert sub124.shape[-2:] == (257, 513)
    assert relative_error(model(x), expected["conv6_interp"]) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("form", ["new", "v1"])
@torch.inference_mode()
def test_merged_and_unmerged_files_give_the_same_outputs(form: Form, tmp_path: Path) -> None:
    blobs = random_blobs(NARROW, scale=SCALE, seed=1)
    apart = converted(blobs, tmp_path, form, "apart")
    together = converted(merged(blobs), tmp_path, form, "together")
    assert (apart.config.use_batchnorm, together.config.use_batchnorm) == (True, False)
    x = image(129, 161)
    assert relative_error(together.build()(x), apart.build()(x)) < 1e-5


def test_both_forms_give_the_same_checkpoint(tmp_path: Path) -> None:
    blobs = random_blobs(NARROW)
    new, old = converted(blobs, tmp_path, "new"), converted(blobs, tmp_path, "v1")
    assert new.digest() == old.digest()


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.5, 1.0])
def test_width_classes_and_preprocessing_are_those_of_the_release(
    width: float, tmp_path: Path
) -> None:
    checkpoint = converted(merged(random_blobs(width)), tmp_path)
    assert checkpoint.config.width == width
    assert checkpoint.config.variant == "paper"
    assert checkpoint.labels == CITYSCAPES
    assert checkpoint.fit == Fit("stretch", (1025, 2049))
    assert checkpoint.preprocessing == Preprocessing((123.68, 116.779, 103.939), order="bgr")
    assert checkpoint.problems() == []


@torch.inference_mode()
def test_the_scale_of_the_image_reaches_sub1_in_plain_numpy(tmp_path: Path) -> None:
    blobs = random_blobs(NARROW, scale=SCALE)
    model = converted(merged(blobs), tmp_path).build()
    x_3HW = image(9, 11)[0].numpy() * np.array(SCALE, np.float32)[:, None, None]
    weight, bias = merged(blobs)["conv1_sub1"]
    padded = np.pad(x_3HW, ((0, 0), (1, 1), (1, 1)))
    expected = np.zeros((len(bias), 5, 6))
    for row in range(5):
        for column in range(6):
            window = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected[:, row, column] = (weight * window).sum((1, 2, 3)) + bias
    ours = model.conv1_sub1(image(9, 11))[0].numpy()
    assert np.abs(ours - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_file_that_wires_the_scale_to_sub1_alone_is_taken_at_its_word(tmp_path: Path) -> None:
    blobs = random_blobs(NARROW, scale=SCALE)
    both = converted(blobs, tmp_path).tensors
    path = tmp_path / "w.caffemodel"
    other = layer("data_sub2", bottoms=["data"])
    path.write_bytes(caffemodel(blobs).replace(layer("data_sub2", bottoms=["data_sub1"]), other))
    alone = convert(path).checkpoint.tensors
    assert torch.equal(alone["conv1_sub1.conv.weight"], both["conv1_sub1.conv.weight"])
    plain = torch.from_numpy(blobs["conv1_1_3x3_s2"][0])
    assert torch.equal(alone["conv1_1.conv.weight"], plain)
    assert not torch.equal(both["conv1_1.conv.weight"], plain)


@pytest.mark.slow
@torch.inference_mode()
def test_biases_before_batch_norm_count(tmp_path: Path) -> None:
    blobs = random_blobs(NARROW)
    blobs["conv_sub4"].append(np.linspace(-2, 2, 16, dtype=np.float32))
    x = image(1025, 2049).double()
    ours = converted(blobs, tmp_path).build().double()(x)
    assert relative_error(ours, caffe_outputs(blobs, x)["conv6_interp"]) < 1e-6


def test_what_has_no_place_is_named_and_the_origin_is_kept(tmp_path: Path) -> None:
    blobs = random_blobs(NARROW, scale=SCALE)
    blobs["conv5_3_pool1_conv"] = [np.ones((4, 128, 1, 1), np.float32)]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel(blobs))
    result = convert(path)
    assert result.report.ignored == {"conv5_3_pool1_conv:0": "not in the network's graph"}
    assert result.report.renamed()["conv6_cls:0"] == "classifier.weight"
    assert len(result.report.taken) == len(result.checkpoint.tensors)
    origin = result.checkpoint.training["converted"]
    assert origin["from"] == "caffemodel with batch norm"
    assert origin["ignored"] == ["conv5_3_pool1_conv:0"]
    assert "(0.5, 2, 1.25)" in origin["folded"]["data_sub1:0"]
    assert origin["sha256"].keys() == {"net.caffemodel"}
    assert any("conv5_3_pool1_conv:0" in line for line in result.report.lines())


def test_numbers_one_by_one_and_in_double_precision_are_read(tmp_path: Path) -> None:
    blobs = merged(random_blobs(NARROW))
    weight, bias = blobs.pop("conv6_cls")
    shape = bytes_field(7, b"".join(number_field(1, side) for side in weight.shape))
    doubles = shape + bytes_field(8, weight.astype("<f8").tobytes())
    last = layer("conv6_cls", [doubles, blob(bias, packed=False)])
    path = tmp_path / "n.caffemodel"
    path.write_bytes(caffemodel(blobs) + last)
    tensors = convert(path).checkpoint.tensors
    assert torch.equal(tensors["classifier.weight"], torch.from_numpy(weight))
    assert torch.equal(tensors["classifier.bias"], torch.from_numpy(bias))


def test_heads_without_bias_have_one_of_zeros(tmp_path: Path) -> None:
    blobs = merged(random_blobs(NARROW))
    blobs["conv6_sub4"].pop()
    path = tmp_path / "n.caffemodel"
    path.write_bytes(caffemodel(blobs))
    result = convert(path)
    assert not result.checkpoint.tensors["cff24.aux.bias"].any()
    assert result.report.notes == ("conv6_sub4 has no bias: zeros assumed",)


def test_other_numbers_of_classes_need_names(tmp_path: Path) -> None:
    path = tmp_path / "n.caffemodel"
    path.write_bytes(caffemodel(random_blobs(NARROW, num_classes=2)))
    with pytest.raises(CheckpointError, match=r"its 2 outputs; name them with --classes"):
        convert(path)
    assert convert(path, classes=TWO).checkpoint.labels == TWO
    with pytest.raises(CheckpointError, match="2 outputs, but 19 classes are named"):
        convert(path, classes=CITYSCAPES)


def test_missing_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    blobs = random_blobs(NARROW)
    del blobs["conv4_3_3x3/bn"], blobs["conv6_sub2"]
    blobs["conv_sub2"] = [np.ones((16, 16, 1, 1), np.float32)]
    blobs["conv3_2_3x3"][0][0, 0, 0, 0] = np.nan
    blobs["conv3_3_3x3/bn"][3][0, 0] = -1
    with pytest.raises(ConversionError) as caught:
        converted(blobs, tmp_path)
    text = str(caught.value)
    assert "missing conv4_3_3x3/bn:0" in text
    assert "conv_sub2:0 is 16x16x1x1, the network needs 16x16x3x3" in text
    assert "conv3_2_3x3:0 holds numbers that are not finite" in text
    assert "conv3_3_3x3/bn:3 holds variances below 0" in text
    assert caught.value.report["missing"]["conv6_sub2:1"] == "cff12.aux.bias"
    assert len(caught.value.report["missing"]) == 6


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged|not recognized"),
        (layer("fc8", [blob(np.ones(3, np.float32))]), "not the authors' ICNet"),
        (layer("conv1_sub1", [blob(np.ones((2, 3), np.float32))]), "missing conv6_cls:0"),
        (layer("conv6_cls", [blob(np.ones((2, 3), np.float32))]), "conv6_cls:0 is 2x3"),
        (2 * layer("conv6_cls", [blob(np.ones(3, np.float32))]), "two layers with the name"),
        (layer("n" * 300), "a name of more than 256 bytes"),
        (layer("a", [b""] * 17), "has 17 blobs; 16 are allowed"),
        (layer("a") * 10_001, "more than 10000 layers"),
        (layer("a", [bytes_field(7, bytes_field(1, b"\x01" * 9))]), "of more than 8 dimensions"),
        (layer("a", [bytes_field(7, bytes_field(1, varint(2**62))) + bytes_field(5, b"1234")]),
         r"layer 'a': a blob of 4611686018427387904 holds 1 numbers"),
        (layer("a", [bytes_field(5, b"12345")]), "not a multiple of 4"),
        (b"\xa2\x06" + varint(2**62) + b"abc", "claims 4611686018427387904 bytes, 3 are left"),
        (b"\xff" * 30, "the number at byte 0 has no end"),
        (b"\x00\x01", "field number 0"),
        (b"\x0b\x01", "unknown wire type 3"),
        (number_field(100, 5), "field 100 holds a number where bytes are needed"),
        (bytes_field(100, bytes_field(1, b"\xff")), "not UTF-8 text"),
    ],
)  # fmt: skip
def test_damaged_and_hostile_files_give_one_clear_line(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "n.caffemodel"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        convert(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [[np.ones(2)], [np.ones(3), np.ones(3)]])
def test_scales_that_cannot_be_folded_are_refused(values: Blobs, tmp_path: Path) -> None:
    blobs = random_blobs(NARROW)
    blobs["data_sub1"] = [np.asarray(v, np.float32) for v in values]
    with pytest.raises(CheckpointError, match=r"data_sub1 (holds 2 numbers|adds an offset)"):
        converted(blobs, tmp_path)
