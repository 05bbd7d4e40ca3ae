"""Writing and running of exported files."""

import errno
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from icstream.model.checkpoint import Checkpoint
from icstream.model.errors import ConfigError
from icstream.model.export.graph import ExportGraph, Form
from icstream.model.files import write_atomically
from icstream.model.geometry import MIN_SIDE, STEP
from icstream.model.runtimes.graph_conversion import OPSET, to_onnx, to_openvino
from icstream.model.segmenter import mean_color
from icstream.model.settings_base import DEFAULT_THREADS

Format = Literal["onnx", "openvino"]
ExportPrecision = Literal["fp32", "int8"]
SUFFIXES: Mapping[Format, str] = {"onnx": ".onnx", "openvino": ".xml"}
MAX_SIDE = 8192
INPUT = "rgb"
_IR_VERSION = 8
"""The oldest version of ONNX's format that has opset 18 (onnx/helper.py, VERSION_TABLE)."""

Run = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""A function that runs an exported graph, from (N, H, W, 3) RGB to class ids or logits."""


def export_model(
    checkpoint: Checkpoint,
    out: Path,
    *,
    size: tuple[int, int],
    format: Format,
    form: Form = "ids",
    precision: ExportPrecision = "fp32",
    batch: int = 1,
) -> dict[str, Any]:
    """Write the network as a file, or two for OpenVINO, for images of one size (`ExportGraph`).

    Args:
        checkpoint: The weights; their fit becomes part of the graph.
        out: The path of the file; for OpenVINO the weights are in a second file that ends in .bin.
        size: The (height, width) of the images.
        format: The format of the file.
        form: The output of the graph.
        precision: int8 marks operations for eight bits, in OpenVINO's format only.
        batch: The number of images in each call.

    Returns:
        A description of how to use the file, as plain JSON values, which the file also holds as
        text.

    Raises:
        ConfigError: This combination cannot be exported, or a package is not installed.
        OSError: The disk is full or failed; partial files are removed.
    """
    _check(checkpoint, size, format=format, precision=precision)
    graph = ExportGraph(checkpoint, size, form)
    example_NHW3 = torch.zeros((batch, *size, 3), dtype=torch.uint8)
    facts = _facts(checkpoint, graph, size, form=form, precision=precision, batch=batch)
    facts["format"] = f"ONNX, opset {OPSET}" if format == "onnx" else "OpenVINO IR"
    if format == "onnx":
        model = to_onnx(graph, example_NHW3, names=(INPUT, form))
        write_atomically(out, lambda path: _write_onnx(model, facts, path), durable=False)
        return facts
    model = to_openvino(graph, [example_NHW3])
    if precision == "int8" and checkpoint.ranges is not None:
        from icstream.model.runtimes.quantize import quantize_graph

        # The choice that is fastest beside bf16, whatever this CPU has: the file is for other
        # machines too.
        quantize_graph(model, checkpoint.ranges, beside="bf16")
    _write_openvino(model, form, facts, out)
    return facts


def open_exported(path: Path, *, precision: ExportPrecision, threads: int = DEFAULT_THREADS) -> Run:
    """Return a function that runs an exported file on the CPU with ONNX Runtime or OpenVINO.

    Raises:
        ConfigError: The package that runs the file is not installed.
    """
    if path.suffix == SUFFIXES["onnx"]:
        if importlib.util.find_spec("onnxruntime") is None:
            raise ConfigError("onnxruntime is not installed; pip install 'icstream[onnx]'")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda rgb_NHW3: np.asarray(session.run(None, {INPUT: rgb_NHW3})[0])
    import openvino

    from icstream.model.runtimes.cpu import cpu_does_bf16

    lower = precision == "int8" and cpu_does_bf16()
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if lower else "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    return lambda rgb_NHW3: np.asarray(compiled([rgb_NHW3])[0])


def _check(
    checkpoint: Checkpoint, size: tuple[int, int], *, format: Format, precision: ExportPrecision
) -> None:
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise ConfigError(
            f"size {size[0]}x{size[1]}: sides from {MIN_SIDE} to {MAX_SIDE} are allowed"
        )
    if format == "openvino" and importlib.util.find_spec("openvino") is None:
        raise ConfigError("format openvino: the package is not installed; pip install openvino")
    if precision == "int8" and format != "openvino":
        raise ConfigError("precision int8: only the format openvino has it")
    if precision == "int8" and checkpoint.ranges is None:
        raise ConfigError(
            "precision int8: the weights are not calibrated; run icstream quantize first"
        )


def _facts(
    checkpoint: Checkpoint,
    graph: ExportGraph,
    size: tuple[int, int],
    *,
    form: Form,
    precision: ExportPrecision,
    batch: int,
) -> dict[str, Any]:
    geometry = graph.geometry
    return {
        "form": form,
        "precision": precision,
        "input": {"name": INPUT, "shape": [batch, *size, 3], "type": "uint8", "order": "rgb"},
        "output": {"name": form, **_output(checkpoint, graph, size, form, batch)},
        "classes": [
            [name, list(color)]
            for name, color in zip(checkpoint.labels.names, checkpoint.labels.colors, strict=True)
        ],
        "preprocessing": {
            **asdict(checkpoint.preprocessing),
            "inside": "none needed: the graph takes unprocessed pixels",
            "fit": asdict(checkpoint.fit),
            "resized_to": list(geometry.inner),
            "padded_to": list(geometry.outer),
            "padding_colour": list(mean_color(checkpoint)),
        },
        "weights": checkpoint.digest(),
        "versions": {name: version(name) for name in ("icstream", "torch")},
    }


def _output(
    checkpoint: Checkpoint, graph: ExportGraph, size: tuple[int, int], form: Form, batch: int
) -> dict[str, Any]:
    if form == "ids":
        return {"shape": [batch, *size], "type": "uint8"}
    nodes = [(side - 1) // STEP + 1 for side in graph.geometry.outer]
    return {
        "shape": [batch, len(checkpoint.labels), *nodes],
        "type": "float32",
        "pixels_per_node": STEP,
        "nodes": f"node (i, j) lies on pixel ({STEP}i, {STEP}j) of the resized and padded image",
    }


def _write_onnx(model: Any, facts: dict[str, Any], path: Path) -> None:
    import onnx

    model.producer_name, model.producer_version = "icstream", version("icstream")
    # The exporter states the newest version, whose additions are unused; onnxruntime 1.15 reads
    # this one.
    model.ir_version = _IR_VERSION
    onnx.helper.set_model_props(model, {key: _text(value) for key, value in facts.items()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _write_openvino(model: Any, form: Form, facts: dict[str, Any], out: Path) -> None:
    import openvino

    partial, weights = out.with_name(f"partial-{out.name}"), out.with_suffix(".bin")
    partial_weights = partial.with_suffix(".bin")

    model.input(0).set_names({INPUT})
    model.output(0).set_names({form})
    for key, value in facts.items():
        model.set_rt_info(_text(value), ["icstream", key])
    try:
        openvino.save_model(model, partial, compress_to_fp16=False)
        partial_weights.replace(weights)
        partial.replace(out)
    except RuntimeError as error:  # OpenVINO's error lacks the reason
        raise OSError(errno.EIO, f"OpenVINO cannot write it ({error})", str(out)) from error
    finally:
        partial.unlink(missing_ok=True)
        partial_weights.unlink(missing_ok=True)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
