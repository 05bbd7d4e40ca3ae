"""The supervisely variant against outputs of the plugin's own network (seed_net_golden)."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from icstream.model import ICNet, ICNetConfig

DATA = os.environ.get("ICSTREAM_DATA")
pytestmark = pytest.mark.skipif(
    DATA is None, reason="ICSTREAM_DATA is not set: no golden outputs to compare with"
)


def plugin_name(ours: str) -> str:
    """Gives the plugin's name of a tensor of ours, by its layer table."""
    if ours.startswith("classifier."):
        return ours.replace("classifier", "classification")
    layer, *unit, part, parameter = ours.split(".")
    if part == "aux":
        return f"cff_sub{layer[3:]}.low_classifier_conv.{parameter}"
    index = {"conv": 0, "norm": 1}[part]
    if layer.startswith("cff"):
        name = {"low": "low_dilated_conv_bn", "high": "high_proj_conv_bn"}[unit[0]]
        return f"cff_sub{layer[3:]}.{name}.cb_unit.{index}.{parameter}"
    if not unit:
        stem = "conv5_4_k1" if layer == "conv5_4" else layer.replace("conv", "convbnrelu")
        return f"{stem}.cbr_unit.{index}.{parameter}"
    block = {
        "conv2": "res_block2",
        "conv3_1": "res_block3_conv",
        "conv3": "res_block3_identity",
        "conv4": "res_block4",
        "conv5": "res_block5",
    }[layer]
    position = unit[0] if len(unit) == 2 else "0"
    name = {
        "reduce": "cbr1.cbr_unit",
        "conv3x3": "cbr2.cbr_unit",
        "increase": "cb3.cb_unit",
        "proj": "cb4.cb_unit",
    }[unit[-1]]
    return f"{block}.layers.{position}.{name}.{index}.{parameter}"


def formula_weight(name: str, shape: list[int]) -> NDArray[np.float32]:
    """The weights that the golden outputs were made with; formulas from its README."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        value = 0.5 + random.rand(*shape)
    elif name.endswith("running_mean"):
        value = 0.1 * random.randn(*shape)
    elif len(shape) == 4:
        value = random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith(".weight"):
        value = 0.8 + 0.4 * random.rand(*shape)
    else:
        value = 0.05 * random.randn(*shape)
    return np.asarray(value, np.float32)


def formula_image(height: int, width: int) -> Tensor:
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([(3 * x + y) % 256, (x + 2 * y) % 256, (x * y // 7) % 256]).astype(np.float32)
    rgb -= np.array([123.68, 116.779, 103.939], np.float32)[:, None, None]
    return torch.from_numpy(rgb[::-1].copy())[None]


def plugin_model(kind: str) -> ICNet:
    shapes = json.loads(Path(DATA or "", "seed_net_golden/keys.json").read_text())[kind]
    config = ICNetConfig(num_classes=12, variant="supervisely", use_batchnorm=kind == "bn")
    model = ICNet(config).eval()
    state = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = tensor
            continue
        theirs = plugin_name(name)
        state[name] = torch.from_numpy(formula_weight(theirs, shapes.pop(theirs)))
    assert all(name.startswith("pyramid_pooling.") for name in shapes), "unused in the plugin too"
    model.load_state_dict(state)
    return model


def golden() -> dict[str, NDArray[np.float32]]:
    return dict(np.load(Path(DATA or "", "seed_net_golden/golden.npz")))


def relative_error(ours: Tensor, theirs: NDArray[np.float32]) -> float:
    assert tuple(ours.shape[-3:]) == theirs.shape[-3:]
    difference = np.abs(ours[0].numpy() - theirs.reshape(ours.shape[1:]))
    return float(difference.max() / np.abs(theirs).max())


@pytest.mark.parametrize("kind", ["bn", "nobn"])
@torch.inference_mode()
def test_all_three_heads_equal_the_plugins(kind: str) -> None:
    logits = plugin_model(kind).branch_logits(formula_image(161, 353))
    expected = golden()
    for head, tensor in logits._asdict().items():
        assert relative_error(tensor, expected[f"{kind}_161x353_{head}"]) <= 1e-4


@torch.inference_mode()
def test_evaluation_at_the_authors_size_equals_the_plugins() -> None:
    logits = plugin_model("bn")(formula_image(1025, 2049))
    expected = golden()
    every_32 = logits[:, :, ::32, ::32]
    assert relative_error(every_32, expected["bn_eval_1025x2049_logits_every_32"]) <= 1e-4
    ids = logits[0].argmax(0)[::8, ::8].numpy()
    assert (ids == expected["bn_eval_1025x2049_argmax_every_8"]).mean() >= 0.9999
