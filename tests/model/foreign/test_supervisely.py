"""Models of the Supervisely plugin and of pytorch-semseg, against the plugin's own outputs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from icstream.model import (
    CITYSCAPES,
    CheckpointError,
    ConversionError,
    Fit,
    ICNet,
    ICNetConfig,
    LabelSet,
    convert,
    random_checkpoint,
)
from icstream.model.icnet import initialize
from support.plugin_weights import (
    formula_image,
    formula_weight,
    plugin_config,
    plugin_state,
    write_model_folder,
)

FOUR = LabelSet.from_values([(name, (k, k, k)) for k, name in enumerate("abcd")])


def small_model(*, num_classes: int = 4, use_batchnorm: bool = True) -> ICNet:
    config = ICNetConfig(
        num_classes=num_classes,
        variant="supervisely",
        width=1 / 16,
        use_batchnorm=use_batchnorm,
    )
    model = ICNet(config)
    initialize(model, seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if tensor.dim() == 1:
            drawn = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(drawn + 0.5 if name.endswith("var") else drawn - 0.3)
    return model.eval()


@pytest.mark.parametrize("kind", ["bn", "nobn"])
@torch.inference_mode()
def test_a_converted_folder_gives_the_plugins_outputs(
    kind: str, data_dir: Path, tmp_path: Path
) -> None:
    golden = data_dir / "seed_net_golden"
    shapes: dict[str, list[int]] = json.loads((golden / "keys.json").read_text())[kind]
    state = {name: torch.from_numpy(formula_weight(name, s)) for name, s in shapes.items()}
    classes = {f"class {k:02}": f"#{k:02x}0000" for k in range(1, 12)}
    folder = write_model_folder(tmp_path, state, plugin_config(classes, size=(1025, 2049)))
    result = convert(folder)
    assert result.checkpoint.config == ICNetConfig(
        num_classes=12, variant="supervisely", use_batchnorm=kind == "bn"
    )
    assert len(result.report.taken) + len(result.report.ignored) == len(shapes)
    assert all(name.startswith("pyramid_pooling.") for name in result.report.ignored)
    logits = result.checkpoint.build().branch_logits(formula_image(161, 353))
    for head, tensor in logits._asdict().items():
        theirs = np.load(golden / "golden.npz")[f"{kind}_161x353_{head}"]
        difference = np.abs(tensor[0].numpy() - theirs.reshape(tensor.shape[1:]))
        assert difference.max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("use_batchnorm", [True, False])
@torch.inference_mode()
def test_a_network_comes_back_with_the_same_logits(use_batchnorm: bool, tmp_path: Path) -> None:
    model = small_model(use_batchnorm=use_batchnorm)
    result = convert(write_model_folder(tmp_path / "model", plugin_state(model)))
    assert result.checkpoint.config == model.config
    x = torch.randn(1, 3, 97, 129, generator=torch.Generator().manual_seed(2)) * 60
    for ours, theirs in zip(
        result.checkpoint.build().branch_logits(x), model.branch_logits(x), strict=True
    ):
        assert torch.equal(ours, theirs)
    reasons = {"stored but never used by the plugin"}
    assert set(result.report.ignored.values()) == reasons | (
        {"batch norm's step counter"} if use_batchnorm else set()
    )


def test_classes_colors_size_and_origin_come_from_the_folder(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "00000007", plugin_state(small_model()))
    checkpoint = convert(folder).checkpoint
    assert checkpoint.labels.names == ("background", "Car", "Road", "Sky")
    assert checkpoint.labels.colors[1:] == ((64, 0, 128), (128, 64, 128), (128, 128, 128))
    assert checkpoint.fit == Fit("stretch", (97, 129))
    assert checkpoint.preprocessing.order == "bgr"
    origin = checkpoint.training["converted"]
    assert origin["from"] == "Supervisely model folder"
    assert origin["name"] == "00000007"
    assert origin["sha256"].keys() == {"config.json", "model.pt"}
    assert all(len(value) == 64 for value in origin["sha256"].values())
    assert origin["notes"] == []


def test_a_class_called_background_keeps_its_name(tmp_path: Path) -> None:
    colors = {"background": "#010203", "Car": "#400080", "Road": "#804080"}
    config = plugin_config(colors)
    state = plugin_state(small_model())
    labels = convert(write_model_folder(tmp_path, state, config)).checkpoint.labels
    assert labels.names == ("unlabelled", "background", "Car", "Road")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("old_file", [True, False])
def test_weights_of_pytorch_semseg_are_read(prefix: str, old_file: bool, tmp_path: Path) -> None:
    model = small_model(num_classes=19)
    saved = {
        "epoch": 3,
        "model_state": {prefix + name: tensor for name, tensor in plugin_state(model).items()},
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "best_iou": np.float64(0.66),
    }
    path = tmp_path / "icnet_cityscapes_best_model.pkl"
    torch.save(saved, path, _use_new_zipfile_serialization=not old_file)
    checkpoint = convert(path).checkpoint
    assert checkpoint.labels == CITYSCAPES
    assert checkpoint.fit == Fit()
    assert torch.equal(checkpoint.tensors["classifier.weight"], model.classifier.weight)
    assert "does not state the preprocessing" in checkpoint.training["converted"]["notes"][0]


def test_a_bare_state_dict_needs_names_for_its_classes(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(plugin_state(small_model()), path)
    with pytest.raises(CheckpointError, match="its 4 outputs; name them with --classes"):
        convert(path)
    assert convert(path, classes=FOUR).checkpoint.labels == FOUR


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    state = {name: tensor.half() for name, tensor in plugin_state(small_model()).items()}
    checkpoint = convert(write_model_folder(tmp_path, state)).checkpoint
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {torch.float32}


def edited(edit: Callable[[dict[str, Tensor]], object]) -> dict[str, Tensor]:
    state = plugin_state(small_model())
    edit(state)
    return state


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda s: s.pop("res_block4.layers.3.cbr2.cbr_unit.0.weight"),
         "missing res_block4.layers.3.cbr2.cbr_unit.0.weight"),
        (lambda s: s.pop("classification.weight"), "missing classification.weight"),
        (lambda s: s.update({"conv5_4_k1.cbr_unit.1.bias": torch.zeros(7)}),
         "conv5_4_k1.cbr_unit.1.bias is 7, the network needs 32"),
        (lambda s: s.update({"classification.bias": torch.zeros(4, dtype=torch.int64)}),
         "classification.bias holds torch.int64"),
        (lambda s: s.update({"classification.bias": torch.zeros(4).to_sparse()}),
         "dense floating-point numbers are needed"),
        (lambda s: s.update({"classification.bias": torch.full((4,), torch.inf)}),
         "classification.bias holds numbers that are not finite"),
        # a stride of 0 makes a small file claim a huge network
        (lambda s: s.update({"classification.weight": torch.zeros(1).expand(4, 2**40, 1, 1)}),
         "width: got 4294967296"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    edit: Callable[[dict[str, Tensor]], object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=words):
        convert(write_model_folder(tmp_path, edited(edit)))


def test_the_report_of_a_failure_names_everything(tmp_path: Path) -> None:
    state = {n: t for n, t in plugin_state(small_model()).items() if "res_block5" not in n}
    with pytest.raises(ConversionError, match=r"missing res_block5.* and \d+ more") as caught:
        convert(write_model_folder(tmp_path, state))
    assert len(caught.value.report["missing"]) == 10 * 5
    assert len(caught.value.report["ignored"]) > 0


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c.pop("class_title_to_idx"), "config.json: .*class_title_to_idx"),
        (lambda c: c["settings"].pop("input_size"), "config.json: .*input_size"),
        (lambda c: c["settings"].update(input_size={"width": 20, "height": 100}),
         "config.json: fit size 100x20: both sides must be at least 64"),
        (lambda c: c["class_title_to_idx"].update(Sky=4), "config.json: ids of classes must be"),
        (lambda c: c["class_title_to_idx"].update(Tree=4), "class 'Tree' has an id but is not"),
        (lambda c: c["class_title_to_idx"].pop("Sky"), "4 outputs, but 3 classes are named"),
        (lambda c: c["classes"][0].update(color="red"), "config.json: .*regex.*color"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_is_one_line(
    edit: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    config = plugin_config()
    edit(config)
    with pytest.raises(CheckpointError, match=words):
        convert(write_model_folder(tmp_path, plugin_state(small_model()), config))


class Harmful:
    """An object that would write a file if it were unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickles_with_objects_are_not_run(tmp_path: Path) -> None:
    state = {"model_state": plugin_state(small_model()), "more": Harmful(tmp_path / "harm")}
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="Python objects besides tensors"):
        convert(tmp_path / "m.pt")
    assert not (tmp_path / "harm").exists()


MMSEG = ("backbone.backbone.stem.0.weight", "neck.cff_24.conv_low.conv.weight",
         "decode_head.conv_seg.weight")  # fmt: skip
LIMINN = ("pretrained.conv1.0.weight", "conv_sub1.0.conv.weight",
          "head.cff_12.conv_low.0.weight", "head.conv_cls.weight")  # fmt: skip


@pytest.mark.parametrize("old_file", [True, False])
@pytest.mark.parametrize("with_objects", [True, False])
@pytest.mark.parametrize(
    ("names", "words"),
    [(MMSEG, "mmsegmentation: its ICNet is another graph"), (LIMINN, "liminn's ICNet-pytorch")],
)
def test_other_graphs_are_refused_with_the_reason(
    names: tuple[str, ...], words: str, with_objects: bool, old_file: bool, tmp_path: Path
) -> None:
    saved: dict[str, Any] = {"state_dict": {f"module.{name}": torch.zeros(2) for name in names}}
    saved["meta"] = {"CLASSES": ("road",)}
    if with_objects:  # as training loops leave them; names are then read, objects not made
        saved["history"] = Harmful(tmp_path / "harm")
    path = tmp_path / "m.pth"
    torch.save(saved, path, _use_new_zipfile_serialization=not old_file)
    with pytest.raises(CheckpointError, match=words) as caught:
        convert(path)
    assert "give wrong masks here" in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_our_own_checkpoints_need_no_conversion(tmp_path: Path) -> None:
    random_checkpoint().save(tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="already a checkpoint of icstream"):
        convert(tmp_path / "w.safetensors")


def test_errors_for_other_files_list_the_supported_kinds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, words in [
        ("notes.txt", "not recognized: looked for a Supervisely model folder"),
        ("other.pt", r"not recognized: looked for a state dict .*; it has fc.weight"),
        ("list.pt", "not recognized: looked for a state dict"),
        ("nothing.pt", "no nothing.pt there; looked for"),
        ("", "no config.json there; looked for"),
    ]:
        with pytest.raises(CheckpointError, match=words):
            convert(tmp_path / name)
