"""Models of the Supervisely plugin `icnet`, and of pytorch-semseg, which has the same network."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from icstream.model.errors import CheckpointError, ConfigError
from icstream.model.foreign.matching import Foreign
from icstream.model.foreign.state_dicts import read_state_dict
from icstream.model.geometry import Fit
from icstream.model.labels import CITYSCAPES, Color, LabelSet, unlabeled_name

CONFIG, WEIGHTS = "config.json", "model.pt"
"""The files of a model folder."""

_BACKGROUND_COLOR = (0, 0, 0)
_UNITS = {
    "conv1_1": "convbnrelu1_1.cbr_unit",
    "conv1_2": "convbnrelu1_2.cbr_unit",
    "conv1_3": "convbnrelu1_3.cbr_unit",
    "conv5_4": "conv5_4_k1.cbr_unit",
    "conv1_sub1": "convbnrelu1_sub1.cbr_unit",
    "conv2_sub1": "convbnrelu2_sub1.cbr_unit",
    "conv3_sub1": "convbnrelu3_sub1.cbr_unit",
    "cff24.low": "cff_sub24.low_dilated_conv_bn.cb_unit",
    "cff24.high": "cff_sub24.high_proj_conv_bn.cb_unit",
    "cff12.low": "cff_sub12.low_dilated_conv_bn.cb_unit",
    "cff12.high": "cff_sub12.high_proj_conv_bn.cb_unit",
}
_HEADS = {
    "classifier": "classification",
    "cff24.aux": "cff_sub24.low_classifier_conv",
    "cff12.aux": "cff_sub12.low_classifier_conv",
}
_STAGES = {
    "conv2": "res_block2",
    "conv3_1": "res_block3_conv",
    "conv3": "res_block3_identity",
    "conv4": "res_block4",
    "conv5": "res_block5",
}
_BLOCK_UNITS = {
    "reduce": "cbr1.cbr_unit",
    "conv3x3": "cbr2.cbr_unit",
    "increase": "cb3.cb_unit",
    "proj": "cb4.cb_unit",
}
_PARTS = {"conv": 0, "norm": 1}


class _Class(Struct):
    title: str
    color: Annotated[str, Meta(pattern="^#[0-9A-Fa-f]{6}$")]

    def rgb(self) -> Color:
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue


class _Size(Struct):
    width: int
    height: int


class _Settings(Struct):
    input_size: _Size


class _Config(Struct):
    settings: _Settings
    classes: list[_Class]
    class_title_to_idx: dict[str, int]


def supervisely_name(ours: str) -> str:
    """Return the plugin's name of a tensor of `ICNet`."""
    layer, parameter = ours.rsplit(".", 1)
    if layer in _HEADS:
        return f"{_HEADS[layer]}.{parameter}"
    layer, part = layer.rsplit(".", 1)
    return f"{_unit(layer)}.{_PARTS[part]}.{parameter}"


def _unit(layer: str) -> str:
    if layer in _UNITS:
        return _UNITS[layer]
    stage, *position, unit = layer.split(".")
    number = position[0] if position else "0"
    return f"{_STAGES[stage]}.layers.{number}.{_BLOCK_UNITS[unit]}"


def read_model_folder(config: bytes, weights: bytes) -> Foreign:
    """Return the network in the files of a model folder, not yet matched with `ICNet`.

    Raises:
        CheckpointError: One of the files is damaged or of another kind.
    """
    try:
        values = msgspec.json.decode(config, type=_Config)
        labels = _labels(values)
        size = values.settings.input_size
        fit = Fit("stretch", (size.height, size.width))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{CONFIG}: {error}") from error
    try:
        return _foreign("Supervisely model folder", weights, fit, labels, notes=())
    except CheckpointError as error:
        raise CheckpointError(f"{WEIGHTS}: {error}") from error


def read_bare_weights(content: bytes) -> Foreign:
    """Return the network in a state dict without a model folder, not yet matched with `ICNet`.

    Raises:
        CheckpointError: The file is damaged, or of another network.
    """
    notes = (
        "the file does not state the preprocessing: assumed as in the plugin, BGR 0..255 minus the"
        " mean, at the image's own size",
    )
    return _foreign("state dict as of pytorch-semseg", content, Fit(), None, notes=notes)


def _foreign(
    source: str, content: bytes, fit: Fit, labels: LabelSet | None, *, notes: tuple[str, ...]
) -> Foreign:
    tensors, key = read_state_dict(content)
    if labels is None and key == "model_state":  # pytorch-semseg has this network for Cityscapes
        classifier = tensors.get("classification.weight")
        if classifier is not None and tuple(classifier.shape[:1]) == (len(CITYSCAPES),):
            labels = CITYSCAPES
    return Foreign(
        source=source,
        tensors=tensors,
        theirs=supervisely_name,
        classifier="classification.weight",
        variant="supervisely",
        use_batchnorm=any(name.endswith("cbr_unit.1.running_mean") for name in tensors),
        fit=fit,
        why_ignored=_why_ignored,
        labels=labels,
        folded={},
        notes=notes,
    )


def _labels(values: _Config) -> LabelSet:
    """Return the classes in the order of their ids; id 0 means no object."""
    ids = values.class_title_to_idx
    colors = {entry.title: entry.rgb() for entry in values.classes}
    for title in ids:
        if title not in colors:
            raise ConfigError(f"class {title!r} has an id but is not among the classes")
    titles = sorted((title for title in ids if ids[title] != 0), key=ids.__getitem__)
    if [ids[title] for title in titles] != list(range(1, len(titles) + 1)):
        raise ConfigError(f"ids of classes must be 1, 2, ..., each once; got {ids}")
    background = next((title for title in ids if ids[title] == 0), unlabeled_name(ids))
    return LabelSet(
        (background, *titles), (_BACKGROUND_COLOR, *(colors[title] for title in titles))
    )


def _why_ignored(name: str) -> str:
    if name.startswith("pyramid_pooling."):
        return "stored but never used by the plugin"
    if name.endswith("num_batches_tracked"):
        return "batch norm's step counter"
    return "unknown here"
