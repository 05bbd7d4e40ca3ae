"""Reading of Caffe's `.caffemodel`: names and blobs of a `NetParameter` message.

Field numbers are those of BVLC's caffe.proto. Layer types are not read, as forks have their own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icstream.model.foreign.protobuf import (
    ProtobufError,
    Value,
    fields,
    text,
    varint,
    varints,
    view,
)

_LAYERS = {100: (1, 3, 7), 2: (4, 2, 6)}
"""The fields name, bottom and blobs within each field of NetParameter that holds layers (`layer`,
and the older `layers`)."""
_SHAPE, _DATA, _DOUBLE_DATA = 7, 5, 8
_OLD_SHAPE = (1, 2, 3, 4)
"""The fields num, channels, height and width of BlobProto, which newer files replace by a shape."""
_DIM = 1

_MAX_LAYERS = 10_000
_MAX_NAME_BYTES = 256
_MAX_BLOBS = 16
_MAX_DIMS = 8


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that holds blobs or names its inputs."""

    name: str
    bottoms: tuple[str, ...]
    """The names of its inputs."""
    blobs: tuple[NDArray[np.float32], ...]
    """The weights, in the shapes stated by the file."""


def read_layers(content: bytes) -> list[Layer]:
    """Return all layers, in the order of the file.

    Raises:
        ProtobufError: The file is truncated, damaged or of another kind, or exceeds the limits.
    """
    layers: list[Layer] = []
    for number, value in fields(memoryview(content)):
        if number in _LAYERS:
            layers.append(_layer(view(number, value), _LAYERS[number]))
        if len(layers) > _MAX_LAYERS:
            raise ProtobufError(f"more than {_MAX_LAYERS} layers")
    return layers


def _layer(message: memoryview, numbers: tuple[int, int, int]) -> Layer:
    name_number, bottom_number, blob_number = numbers
    name, bottoms, blobs = "", [], []
    for number, value in fields(message):
        if number == name_number:
            name = _name(number, value)
        elif number == bottom_number:
            bottoms.append(_name(number, value))
        elif number == blob_number:
            blobs.append(view(number, value))
    if len(blobs) > _MAX_BLOBS:
        raise ProtobufError(f"layer {name!r} has {len(blobs)} blobs; {_MAX_BLOBS} are allowed")
    try:
        return Layer(name, tuple(bottoms), tuple(_blob(blob) for blob in blobs))
    except ProtobufError as error:
        raise ProtobufError(f"layer {name!r}: {error}") from error


def _name(number: int, value: Value) -> str:
    if len(view(number, value)) > _MAX_NAME_BYTES:
        raise ProtobufError(f"a name of more than {_MAX_NAME_BYTES} bytes")
    return text(number, value)


def _blob(message: memoryview) -> NDArray[np.float32]:
    shape: list[int] | None = None
    old_shape: dict[int, int] = {}
    # Concatenated floats have the same bytes, whether they were packed or not.
    floats: list[memoryview] = []
    doubles: list[memoryview] = []
    for number, value in fields(message):
        if number == _SHAPE:
            shape = _dims(view(number, value))
        elif number in _OLD_SHAPE:
            old_shape[number] = varint(number, value)
        elif number == _DATA:
            floats.append(view(number, value))
        elif number == _DOUBLE_DATA:
            doubles.append(view(number, value))
    values = _numbers(doubles, "<f8") if doubles else _numbers(floats, "<f4")
    if shape is None:
        shape = [old_shape.get(number, 1) for number in _OLD_SHAPE] if old_shape else [values.size]
    if values.size == 0:
        return values
    if math.prod(shape) != values.size:
        stated = "x".join(map(str, shape))
        raise ProtobufError(f"a blob of {stated} holds {values.size} numbers")
    return values.reshape(shape)


def _dims(message: memoryview) -> list[int]:
    dims = []
    for number, value in fields(message):
        if number == _DIM:
            dims += varints(value)
        if len(dims) > _MAX_DIMS:
            raise ProtobufError(f"a blob of more than {_MAX_DIMS} dimensions")
    return dims


def _numbers(parts: list[memoryview], kind: str) -> NDArray[np.float32]:
    content = b"".join(parts)
    if len(content) % np.dtype(kind).itemsize:
        raise ProtobufError(f"{len(content)} bytes of floats, which is not a multiple of 4")
    with np.errstate(over="ignore"):  # infinities are reported later
        return np.frombuffer(content, kind).astype(np.float32)
