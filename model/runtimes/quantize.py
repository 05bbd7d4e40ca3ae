"""Quantization of OpenVINO graphs, by marking what the compiler shall compute in int8."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from openvino import Model, opset13

from icstream.model.activation_ranges import Ranges
from icstream.model.errors import CheckpointError

_ACTIVATION_LEVELS = 256
"""The levels of activations, which are unsigned outputs of a ReLU."""
_WEIGHT_LEVELS = 255
"""The levels of weights, which are symmetric: -127 to 127."""
_AS_FAST_IN_BF16 = frozenset(("conv1_2", "conv1_3", "conv2_sub1", "conv3_sub1"))
"""The convolutions that are as fast in bf16: with few channels at a large size, converting their
maps costs what int8 saves over bf16, though not over fp32."""


def quantize_graph(model: Model, ranges: Ranges, *, beside: Literal["bf16", "fp32"]) -> None:
    """Quantize the convolutions that have a range, in place.

    Activations get one scale for each tensor and weights one for each output channel, as
    FakeQuantize operations around unchanged weights. A tensor is quantized for all its readers, so
    that the shortcuts of the bottlenecks are also kept in eight bits.

    Args:
        model: A deploy graph from PyTorch, in float32, whose operations have the names of their
            modules.
        ranges: The ranges of its activations.
        beside: The precision of the rest. Convolutions that are as fast in bf16 are left in it.

    Raises:
        CheckpointError: There are ranges for convolutions that the graph does not have.
    """
    quantized: dict[tuple[str, int], Any] = {}
    found = set()
    for operation in model.get_ordered_ops():
        name = _module_name(operation)
        if operation.get_type_name() != "Convolution" or name not in ranges.highs:
            continue
        found.add(name)
        if beside == "bf16" and name in _AS_FAST_IN_BF16:
            continue
        source = operation.input(0).get_source_output()
        key = source.get_node().get_friendly_name(), source.get_index()
        if key not in quantized:
            quantized[key] = _quantize_activations(source, ranges.highs[name])
        _quantize_weights(operation.input(1))
    unknown = sorted(set(ranges.highs) - found)
    if unknown:
        raise CheckpointError(f"int8 ranges: the network has no convolution {unknown[0]}")
    model.validate_nodes_and_infer_types()


def _module_name(operation: Any) -> str:
    # __module.icnet.conv4.2.increase.conv/aten::_convolution/Convolution
    module = str(operation.get_friendly_name()).partition("/")[0]
    return module.partition("icnet.")[2].removesuffix(".conv")


def _quantize_activations(source: Any, high: float) -> Any:
    readers = source.get_target_inputs()
    bounds = [np.full((1, 1, 1, 1), bound, np.float32) for bound in (0, high)]
    marked = _fake_quantize(source, bounds, _ACTIVATION_LEVELS)
    for reader in readers:
        reader.replace_source_output(marked)
    return marked


def _quantize_weights(place: Any) -> None:
    source = place.get_source_output()
    weight_OIhw: NDArray[np.float32] = source.get_node().data
    peaks_O111 = np.abs(weight_OIhw).max(axis=(1, 2, 3), keepdims=True)
    peaks_O111[peaks_O111 == 0] = 1
    place.replace_source_output(_fake_quantize(source, [-peaks_O111, peaks_O111], _WEIGHT_LEVELS))


def _fake_quantize(source: Any, bounds: list[NDArray[np.float32]], levels: int) -> Any:
    low, high = (opset13.constant(bound) for bound in bounds)
    return opset13.fake_quantize(source, low, high, low, high, levels).output(0)
