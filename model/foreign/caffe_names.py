"""The tensors of ICNet in the authors' `.caffemodel`, with the names of their prototxt."""

_LAYERS = {
    "conv1_1": "conv1_1_3x3_s2",
    "conv1_2": "conv1_2_3x3",
    "conv1_3": "conv1_3_3x3",
    "conv5_4": "conv5_4_k1",
    "conv1_sub1": "conv1_sub1",
    "conv2_sub1": "conv2_sub1",
    "conv3_sub1": "conv3_sub1",
    "cff24.low": "conv_sub4",
    "cff24.high": "conv3_1_sub2_proj",
    "cff12.low": "conv_sub2",
    "cff12.high": "conv3_sub1_proj",
}
_HEADS = {"classifier": "conv6_cls", "cff24.aux": "conv6_sub4", "cff12.aux": "conv6_sub2"}
_FIRST_BLOCK = {"conv2": 1, "conv3": 2, "conv4": 1, "conv5": 1}
"""The authors' number of the first block of each stage; conv3_1 is separate."""
_UNITS = {
    "reduce": "1x1_reduce",
    "conv3x3": "3x3",
    "increase": "1x1_increase",
    "proj": "1x1_proj",
}
_CONV_BLOBS = {"weight": 0, "bias": 1}
_NORM_BLOBS = {"weight": 0, "bias": 1, "running_mean": 2, "running_var": 3}

DATA_SCALE = "data_sub1"
"""The first layer, which scales the image's channels."""
SUB1_INPUT, SUB2_INPUT = "conv1_sub1", "conv1_1_3x3_s2"
"""The first convolutions after `DATA_SCALE`: of the branch sub1, and of the trunk of sub2 and
sub4."""
SHRINK = "data_sub2"
"""The layer between `DATA_SCALE` and `SUB2_INPUT`."""
CLASSIFIER = _HEADS["classifier"]
HEADS = frozenset(_HEADS.values())
NORM_SUFFIX = "/bn"


def blob_name(layer: str, index: int) -> str:
    """Return the name of a blob in reports."""
    return f"{layer}:{index}"


def caffe_name(ours: str) -> str:
    """Return the blob that holds a tensor of `ICNet`."""
    layer, parameter = ours.rsplit(".", 1)
    if layer in _HEADS:
        return blob_name(_HEADS[layer], _CONV_BLOBS[parameter])
    layer, part = layer.rsplit(".", 1)
    if part == "norm":
        return blob_name(_conv(layer) + NORM_SUFFIX, _NORM_BLOBS[parameter])
    return blob_name(_conv(layer), _CONV_BLOBS[parameter])


def _conv(layer: str) -> str:
    if layer in _LAYERS:
        return _LAYERS[layer]
    stage, *position, unit = layer.split(".")
    block = f"{stage}_{_FIRST_BLOCK[stage] + int(position[0])}" if position else stage
    return f"{block}_{_UNITS[unit]}"
