"""Tensors of the Open Inference Protocol: UINT8, as JSON or as bytes after it."""

import itertools
import math
import operator
import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from icstream.model.geometry import MIN_SIDE, padded_pixels
from icstream.pipeline.http.numbers import read_number
from icstream.pipeline.serve.errors import RefusedError
from icstream.pipeline.settings.serve import LimitSettings

HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header of the protocol's extension for binary data, with the size of the leading JSON."""
INPUT, OUTPUT = "image", "class_ids"
DATATYPE = "UINT8"

_Byte = Annotated[int, Meta(ge=0, le=255)]
_NESTED: Mapping[int, Any] = {
    1: list[_Byte],
    2: list[list[_Byte]],
    3: list[list[list[_Byte]]],
    4: list[list[list[list[_Byte]]]],
}
_MAX_OBJECTS = 1000
"""Most opening braces in a request, which needs five, as each takes memory before the check."""
_BYTES_AS_JSON = 16
"""Bytes per value, in a list and as digits."""
_ENCODINGS = ("gzip", "deflate")
_EITHER_HEADER = 32 + zlib.MAX_WBITS


class Parameters(Struct, frozen=True):
    """Parameters of the protocol's extension for binary data.

    Other parameters are ignored without being parsed.
    """

    binary_data: bool | None = None
    binary_data_output: bool | None = None
    binary_data_size: int | None = None


class InputTensor(Struct):
    """A tensor of a request."""

    name: str
    datatype: str
    shape: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(max_length=8)]
    parameters: Parameters = Parameters()
    data: msgspec.Raw = msgspec.Raw()


class RequestedOutput(Struct):
    """A requested output."""

    name: str
    parameters: Parameters = Parameters()


class InferenceRequest(Struct):
    """The JSON of a request."""

    inputs: Annotated[list[InputTensor], Meta(min_length=1, max_length=1)]
    outputs: Annotated[list[RequestedOutput], Meta(max_length=1)] = []
    id: str = ""
    parameters: Parameters = Parameters()

    def wants_bytes(self) -> bool:
        """Return whether the output is sent as bytes after the JSON."""
        default = self.parameters.binary_data_output is True
        if not self.outputs:
            return default
        wanted = self.outputs[0].parameters.binary_data
        return default if wanted is None else wanted


def _uncompressed(body: bytes, encoding: str | None, *, max_bytes: int) -> bytes:
    """Return a body without its Content-Encoding.

    Raises:
        RefusedError: the encoding is unknown, or the body is damaged or too large.
    """
    if encoding is None or encoding.lower() == "identity":
        return body
    if encoding.lower() not in _ENCODINGS:
        raise RefusedError("unsupported", f"Content-Encoding {encoding}: must be gzip or deflate")
    inflater = zlib.decompressobj(_EITHER_HEADER)
    try:
        data = inflater.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise RefusedError("bad_request", f"the body is not {encoding}") from error
    if len(data) > max_bytes:
        raise RefusedError(
            "too_large", f"more than the allowed {max_bytes} bytes after decompression"
        )
    if not inflater.eof:
        raise RefusedError("bad_request", "the compressed body is truncated")
    return data


def read_request(
    body: bytes, header_length: str | None, encoding: str | None, *, limits: LimitSettings
) -> tuple[InferenceRequest, NDArray[np.uint8]]:
    """Return the request and its (N, H, W, 3) images.

    Args:
        body: the JSON, followed by binary data if `header_length` is given.
        header_length: the value of the header `Inference-Header-Content-Length`.
        encoding: the value of the header `Content-Encoding`.
        limits: the limits of a request.

    Raises:
        RefusedError: the body is not one UINT8 tensor "image" of that shape, or is too large.
    """
    max_bytes = limits.json_bytes if header_length is None else limits.body_bytes
    body = _uncompressed(body, encoding, max_bytes=max_bytes)
    if header_length is None:
        head, tail = body, None
    else:
        length = read_number(header_length)
        if length is None or length > len(body):
            raise RefusedError("bad_request", f"{HEADER_LENGTH}: got {header_length!r}")
        head, tail = body[:length], memoryview(body)[length:]
    if len(head) > limits.json_bytes:
        raise RefusedError(
            "too_large",
            f"request: {len(head)} bytes of JSON, but at most {limits.json_bytes} are allowed"
            " (limits.json_bytes); send binary data (binary_data_size)",
        )
    if head.count(b"{") > _MAX_OBJECTS:
        raise RefusedError("too_large", f"request: more than the allowed {_MAX_OBJECTS} objects")
    try:
        request = msgspec.json.decode(head, type=InferenceRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("bad_request", f"request: {error}") from error
    for output in request.outputs:
        if output.name != OUTPUT:
            raise RefusedError("bad_request", f"output {output.name!r}: must be {OUTPUT}")
    tensor = request.inputs[0]
    _check(tensor, max_pixels=limits.pixels, max_images=limits.images)
    return request, _pixels(tensor, tail)


def _check(tensor: InputTensor, *, max_pixels: int, max_images: int) -> None:
    if tensor.name != INPUT:
        raise RefusedError("bad_request", f"input {tensor.name!r}: must be {INPUT}")
    if tensor.datatype != DATATYPE:
        raise RefusedError(
            "bad_request", f"{INPUT}: datatype must be {DATATYPE}, got {tensor.datatype}"
        )
    shape = tensor.shape
    if len(shape) != 4 or shape[3] != 3:
        raise RefusedError("bad_request", f"{INPUT}: shape must be [N, H, W, 3], got {shape}")
    if shape[0] > max_images:
        raise RefusedError(
            "too_large", f"{INPUT}: {shape[0]} images, but at most {max_images} are allowed"
        )
    if shape[0] * padded_pixels((shape[1], shape[2])) > max_pixels:
        raise RefusedError(
            "too_many_pixels",
            f"{INPUT}: shape {shape} exceeds the allowed {max_pixels} pixels, where sides below"
            f" {MIN_SIDE} count as {MIN_SIDE}",
        )


def _pixels(tensor: InputTensor, tail: memoryview | None) -> NDArray[np.uint8]:
    num_bytes = tensor.parameters.binary_data_size
    if num_bytes is None:
        values = _json_values(bytes(tensor.data).strip(), tensor.shape)
    elif tail is None or num_bytes != len(tail):
        got = 0 if tail is None else len(tail)
        raise RefusedError(
            "bad_request", f"{INPUT}: binary_data_size is {num_bytes}, but got {got} bytes"
        )
    else:
        values = np.frombuffer(tail, np.uint8)
    if values.size != math.prod(tensor.shape):
        raise RefusedError("bad_request", f"{INPUT}: {values.size} values for shape {tensor.shape}")
    return values.reshape(tensor.shape)


def _json_values(text: bytes, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return the values of an array, flat or nested as its shape.

    Commas and brackets are counted first, so that no list is created beyond the shape's needs.
    """
    depth = next((n for n, c in enumerate(text[:16].replace(b" ", b"")) if c != ord("[")), 16)
    if depth not in _NESTED:
        raise RefusedError("bad_request", f"{INPUT}: data is missing, or is not an array")
    num_values = math.prod(shape)
    if text.count(b",") != num_values - 1:
        raise RefusedError(
            "bad_request", f"{INPUT}: {text.count(b',') + 1} values for shape {list(shape)}"
        )
    num_lists = itertools.accumulate(shape[: depth - 1], operator.mul, initial=1)
    if text.count(b"[") != sum(num_lists):
        raise RefusedError("bad_request", f"{INPUT}: data is not nested as its shape")
    try:
        return np.asarray(msgspec.json.decode(text, type=_NESTED[depth]), np.uint8).ravel()
    except (msgspec.DecodeError, ValueError) as error:
        raise RefusedError("bad_request", f"{INPUT}: data: {error}") from error


def response_bytes(request: InferenceRequest, num_pixels: int) -> int:
    """Return the memory, in bytes, of the response's values while it is written."""
    return num_pixels * (2 if request.wants_bytes() else _BYTES_AS_JSON)


def write_response(
    request: InferenceRequest, ids: Sequence[NDArray[np.uint8]], *, model: str, version: str
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of the response with the (H, W) class ids of each image."""
    stacked_NHW = np.stack(ids)
    tensor: dict[str, Any] = {
        "name": OUTPUT,
        "datatype": DATATYPE,
        "shape": list(stacked_NHW.shape),
    }
    values = {"model_name": model, "model_version": version, "outputs": [tensor]}
    if request.id:
        values["id"] = request.id
    if not request.wants_bytes():
        tensor["data"] = stacked_NHW.ravel().tolist()
        return msgspec.json.encode(values), {"Content-Type": "application/json"}
    data = stacked_NHW.tobytes()
    tensor["parameters"] = {"binary_data_size": len(data)}
    head = msgspec.json.encode(values)
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return head + data, headers
