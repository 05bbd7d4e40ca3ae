"""Files and outputs of the authors' Caffe network, written from the formats' definitions.

The writer follows "Encoding" of the Protocol Buffers documentation and the field numbers of
caffe.proto; `caffe_outputs` follows the authors' icnet_cityscapes_bnnomerge.prototxt, layer by
layer, independently of icstream's network.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Form: TypeAlias = Literal["new", "v1"]
Blobs: TypeAlias = dict[str, list[NDArray[np.float32]]]
"""The blobs of each layer; those of batch norm are gamma, beta, mean and variance."""

EPS = 1e-5
_NUMBERS = {"new": (100, 1, 2, 3, 7), "v1": (2, 4, 5, 2, 6)}
"""The field numbers of the layer in NetParameter, and of name, type, bottom and blobs within it."""


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(128 | (value & 127))
        value >>= 7
    return bytes([*out, value])


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(values: NDArray[np.float32], *, old_shape: bool = False, packed: bool = True) -> bytes:
    """Return a BlobProto; old ones have four sides in separate fields."""
    if old_shape:
        sides = [1] * (4 - values.ndim) + list(values.shape)
        shape = b"".join(number_field(k, side) for k, side in enumerate(sides, start=1))
    else:
        dims = b"".join(varint(side) for side in values.shape)
        shape = bytes_field(7, bytes_field(1, dims))
    if packed:
        return shape + bytes_field(5, values.astype("<f4").tobytes())
    each = (varint(5 << 3 | 5) + struct.pack("<f", value) for value in values.ravel())
    return shape + b"".join(each)


def layer(
    name: str, blobs: Iterable[bytes] = (), *, form: Form = "new", bottoms: Sequence[str] = ()
) -> bytes:
    """Return the field of NetParameter with a layer of unknown type."""
    outer, name_number, type_number, bottom_number, blob_number = _NUMBERS[form]
    kind = bytes_field(2, b"BNData") if form == "new" else number_field(type_number, 4711)
    content = b"".join(bytes_field(bottom_number, bottom.encode()) for bottom in bottoms)
    content += bytes_field(name_number, name.encode()) + kind
    content += b"".join(bytes_field(blob_number, one) for one in blobs)
    return bytes_field(outer, content)


def caffemodel(blobs: Blobs, *, form: Form = "new") -> bytes:
    """Return a complete file, with layers without blobs between the others."""
    parts = [bytes_field(1, b"icnet"), layer("data_sub2", form=form, bottoms=["data_sub1"])]
    for name, values in blobs.items():
        parts.append(layer(name, [blob(v, old_shape=form == "v1") for v in values], form=form))
        parts.append(layer(f"{name}/relu", form=form, bottoms=[name]))
    return b"".join(parts)


def convolutions(width: float) -> dict[str, tuple[int, int, int]]:
    """Return inputs, outputs and kernel of each convolution with batch norm, by the prototxt."""
    c1, c2, c3, c4, c5 = (int(c * width) for c in (128, 256, 512, 1024, 2048))
    found = {
        "conv1_1_3x3_s2": (3, c1 // 2, 3),
        "conv1_2_3x3": (c1 // 2, c1 // 2, 3),
        "conv1_3_3x3": (c1 // 2, c1, 3),
    }
    stages = ((2, 3, c1, c1 // 2, c2), (3, 4, c2, c1, c3), (4, 6, c3, c2, c4), (5, 3, c4, c3, c5))
    for stage, count, c_in, c_mid, c_out in stages:
        for k in range(1, count + 1):
            name = f"conv{stage}_{k}"
            found[f"{name}_1x1_reduce"] = (c_in if k == 1 else c_out, c_mid, 1)
            found[f"{name}_3x3"] = (c_mid, c_mid, 3)
            found[f"{name}_1x1_increase"] = (c_mid, c_out, 1)
        found[f"conv{stage}_1_1x1_proj"] = (c_in, c_out, 1)
    return found | {
        "conv5_4_k1": (c5, c3, 1),
        "conv_sub4": (c3, c2, 3),
        "conv3_1_sub2_proj": (c3, c2, 1),
        "conv_sub2": (c2, c2, 3),
        "conv1_sub1": (3, c1 // 2, 3),
        "conv2_sub1": (c1 // 2, c1 // 2, 3),
        "conv3_sub1": (c1 // 2, c1, 3),
        "conv3_sub1_proj": (c1, c2, 1),
    }


def random_blobs(
    width: float, *, num_classes: int = 19, scale: Sequence[float] = (1, 1, 1), seed: int = 0
) -> Blobs:
    """Return an unmerged network with random statistics."""
    random = np.random.default_rng(seed)
    blobs: Blobs = {"data_sub1": [np.array(scale, np.float32)]}

    def normal(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape).astype(np.float32)

    for name, (c_in, c_out, kernel) in convolutions(width).items():
        fan_in = c_in * kernel * kernel
        blobs[name] = [normal(c_out, c_in, kernel, kernel) * np.float32((2 / fan_in) ** 0.5)]
        vectors = [0.5 + random.random(c_out), normal(c_out) * 0.1, normal(c_out) * 0.1]
        vectors.append(0.5 + random.random(c_out))
        blobs[f"{name}/bn"] = [v.astype(np.float32).reshape(1, -1, 1, 1) for v in vectors]
    c2, c3 = int(256 * width), int(512 * width)
    for name, c_in in (("conv6_cls", c2), ("conv6_sub4", c3), ("conv6_sub2", c2)):
        blobs[name] = [normal(num_classes, c_in, 1, 1), normal(num_classes)]
    return blobs


def merged(blobs: Blobs) -> Blobs:
    """Return the same network with batch norm merged into weights and biases."""
    out: Blobs = {}
    for name, values in blobs.items():
        if name.endswith("/bn"):
            continue
        out[name] = values
        if f"{name}/bn" in blobs:
            gamma, beta, mean, variance = (
                v.astype(np.float64).ravel() for v in blobs[f"{name}/bn"]
            )
            factor = gamma / np.sqrt(variance + EPS)
            weight = values[0] * factor[:, None, None, None]
            out[name] = [weight.astype(np.float32), (beta - mean * factor).astype(np.float32)]
    return out


def caffe_outputs(blobs: Blobs, x_NCHW: Tensor) -> Mapping[str, Tensor]:
    """Return conv6_interp, conv6_sub4 and conv6_sub2 in float64, for images of 1025x2049."""
    values = {name: [torch.from_numpy(v).double() for v in vs] for name, vs in blobs.items()}

    def conv(
        name: str, x: Tensor, stride: int = 1, pad: int = 0, dilation: int = 1, relu: bool = True
    ) -> Tensor:
        weight, *bias = values[name]
        y = F.conv2d(x, weight, bias[0] if bias else None, stride, pad, dilation)
        if f"{name}/bn" in values:
            gamma, beta, mean, variance = (v.reshape(1, -1, 1, 1) for v in values[f"{name}/bn"])
            y = gamma * (y - mean) / torch.sqrt(variance + EPS) + beta
        return F.relu(y) if relu else y

    def interp(x: Tensor, height: int, width: int) -> Tensor:
        return F.interpolate(x, (height, width), mode="bilinear", align_corners=True)

    def zoom(x: Tensor, factor: int) -> Tensor:
        height, width = x.shape[-2:]
        return interp(x, height + (height - 1) * (factor - 1), width + (width - 1) * (factor - 1))

    def block(name: str, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
        y = conv(f"{name}_1x1_reduce", x, stride)
        y = conv(f"{name}_3x3", y, pad=dilation, dilation=dilation)
        y = conv(f"{name}_1x1_increase", y, relu=False)
        if f"{name}_1x1_proj" in values:
            x = conv(f"{name}_1x1_proj", x, stride, relu=False)
        return F.relu(x + y)

    data_sub1 = x_NCHW.double() * values["data_sub1"][0].reshape(1, 3, 1, 1)
    data_sub2 = interp(data_sub1, 513, 1025)
    x = conv("conv1_1_3x3_s2", data_sub2, 2, 1)
    x = conv("conv1_3_3x3", conv("conv1_2_3x3", x, pad=1), pad=1)
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    x = block("conv2_3", block("conv2_2", block("conv2_1", x)))
    conv3_1 = block("conv3_1", x, stride=2)
    x = interp(conv3_1, 33, 65)
    for k in (2, 3, 4):
        x = block(f"conv3_{k}", x)
    for k in range(1, 7):
        x = block(f"conv4_{k}", x, dilation=2)
    for k in (1, 2, 3):
        x = block(f"conv5_{k}", x, dilation=4)
    windows = (((33, 65), (33, 65)), ((17, 33), (16, 32)), ((13, 25), (10, 20)), ((8, 15), (5, 10)))
    x = x + sum(interp(F.avg_pool2d(x, kernel, step), 33, 65) for kernel, step in windows)
    conv5_4_interp = zoom(conv("conv5_4_k1", x), 2)
    sub24 = F.relu(
        conv("conv3_1_sub2_proj", conv3_1, relu=False)
        + conv("conv_sub4", conv5_4_interp, pad=2, dilation=2, relu=False)
    )
    sub24_interp = zoom(sub24, 2)
    sub1 = conv("conv1_sub1", data_sub1, 2, 1)
    sub1 = conv("conv3_sub1", conv("conv2_sub1", sub1, 2, 1), 2, 1)
    sub12 = F.relu(
        conv("conv3_sub1_proj", sub1, relu=False)
        + conv("conv_sub2", sub24_interp, pad=2, dilation=2, relu=False)
    )
    return {
        "conv6_interp": zoom(conv("conv6_cls", zoom(sub12, 2), relu=False), 4),
        "conv6_sub4": conv("conv6_sub4", conv5_4_interp, relu=False),
        "conv6_sub2": conv("conv6_sub2", sub24_interp, relu=False),
    }
