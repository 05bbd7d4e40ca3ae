"""The supervisely variant against outputs of the plugin's own network (seed_net_golden)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from icstream.model import ICNet, ICNetConfig
from support.plugin_weights import formula_image, formula_weight, plugin_name

DATA = os.environ.get("ICSTREAM_DATA")
pytestmark = pytest.mark.skipif(
    DATA is None, reason="ICSTREAM_DATA is not set: no golden outputs to compare with"
)


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bn", "nobn"])
@torch.inference_mode()
def test_all_three_heads_equal_the_plugins(kind: str) -> None:
    logits = plugin_model(kind).branch_logits(formula_image(161, 353))
    expected = golden()
    for head, tensor in logits._asdict().items():
        assert relative_error(tensor, expected[f"{kind}_161x353_{head}"]) <= 1e-4


@pytest.mark.slow
@torch.inference_mode()
def test_evaluation_at_the_authors_size_equals_the_plugins() -> None:
    logits = plugin_model("bn")(formula_image(1025, 2049))
    expected = golden()
    every_32 = logits[:, :, ::32, ::32]
    assert relative_error(every_32, expected["bn_eval_1025x2049_logits_every_32"]) <= 1e-4
    ids = logits[0].argmax(0)[::8, ::8].numpy()
    assert (ids == expected["bn_eval_1025x2049_argmax_every_8"]).mean() >= 0.9999
