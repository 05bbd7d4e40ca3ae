"""Weights as written by the Supervisely plugin: names, numbers by formula, model folders."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icstream.model import ICNet

CLASSES = {"Car": "#400080", "Road": "#804080", "Sky": "#808080"}


def plugin_name(ours: str) -> str:
    """Return the plugin's name of a tensor of `ICNet`, by its layer table."""
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
    """Return a weight of the golden outputs, by the formulas in their README."""
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


def plugin_state(model: ICNet) -> dict[str, Tensor]:
    """Return the weights of a network as in the plugin, including its unused pyramid."""
    state = {plugin_name(name): tensor for name, tensor in model.state_dict().items()}
    width = model.classifier.in_channels
    for path in range(4):
        name = f"pyramid_pooling.path_module_list.{path}.cbr_unit.0.weight"
        state[name] = torch.ones(2 * width, 8 * width, 1, 1)
    return state


def plugin_config(
    classes: Mapping[str, str] = CLASSES, *, size: tuple[int, int] = (97, 129)
) -> dict[str, Any]:
    """Return a model's config.json; `classes` are colors by title, numbered from 1 in order."""
    return {
        "settings": {
            "input_size": {"width": size[1], "height": size[0]},
            "dataset_tags": {"train": "train", "val": "val"},
            "use_batchnorm": True,
        },
        "classes": [
            {"title": title, "shape": "bitmap", "color": color, "geometry_config": {}}
            for title, color in sorted(classes.items(), reverse=True)
        ],
        "class_title_to_idx": {title: k for k, title in enumerate(classes, start=1)},
    }


def write_model_folder(
    folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state), folder / "model.pt")
    (folder / "config.json").write_text(json.dumps(config or plugin_config()))
    return folder
