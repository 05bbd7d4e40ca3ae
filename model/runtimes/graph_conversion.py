"""Conversion of PyTorch graphs to ONNX and OpenVINO."""

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from icstream.model.errors import ConfigError

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""The version of ONNX's operators, which ONNX Runtime 1.14 (2023) and later can read."""


def to_onnx(graph: nn.Module, example: Tensor, *, names: tuple[str, str]) -> "ModelProto":
    """Return the graph in ONNX, for inputs of the example's shape.

    Args:
        graph: A module from one tensor to one.
        example: An input.
        names: The names of the input and the output.

    Raises:
        ConfigError: A package for it is not installed.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"ONNX files need the package {missing[0]}, which is not installed:"
            " pip install 'icstream[onnx]'"
        )
    # The exporter logs operators that nothing here uses.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[names[0]],
            output_names=[names[1]],
        )
    assert program is not None  # always present with dynamo=True
    return program.model_proto


def to_openvino(graph: nn.Module, examples: Sequence[Tensor]) -> Any:
    """Return the graph as an `openvino.Model`, for inputs of the examples' shapes.

    `openvino.convert_model` does the same, but takes twice the time.
    """
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    from openvino.passes import ConstantFolding, Manager

    with torch.no_grad(), warnings.catch_warnings():
        # Sizes become constants of the trace, as intended here.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph, tuple(examples), check_trace=False)  # type: ignore[no-untyped-call]
        decoder = TorchScriptPythonDecoder(traced, example_input=tuple(examples))
        front_end = FrontEndManager().load_by_framework("pytorch")
        model = front_end.convert(front_end.load(decoder))
    for parameter, example in zip(model.get_parameters(), examples, strict=True):
        parameter.set_partial_shape(openvino.PartialShape(list(example.shape)))
        parameter.set_element_type(openvino.Type(example.numpy().dtype))
    model.validate_nodes_and_infer_types()
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)
    return model
