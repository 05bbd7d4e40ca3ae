"""Writing the network into files that other programs run, and running them as those would."""

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
"""An exported graph: (N, H, W, 3) RGB in, class ids or logits out."""


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
    """Write a file, or two for OpenVINO, that takes images of one size; see `ExportGraph`.

    Args:
        checkpoint: weights; how images are fitted goes into the graph too.
        out: the file; the weights of OpenVINO lie beside it in one that ends in .bin.
        size: (height, width) of the images.
        format: of the file.
        form: what comes out.
        precision: int8 marks what is to be computed in eight bits, in OpenVINO's format only.
        batch: images at a time.

    Returns:
        What must be known to use it, as plain JSON values; it is in the file too, as text.

    Raises:
        ConfigError: this cannot be written, or a package for it is not installed.
        OSError: the disk is full or fails; what was written is removed.
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

        # As it is fastest beside bf16, whatever this CPU has: files are for others too.
        quantize_graph(model, checkpoint.ranges, beside="bf16")
    _write_openvino(model, form, facts, out)
    return facts


def open_exported(path: Path, *, precision: ExportPrecision, threads: int = DEFAULT_THREADS) -> Run:
    """Return a function that runs the graph in a file, on the CPU by ONNX Runtime or OpenVINO.

    Raises:
        ConfigError: the package that runs it is not installed.
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
            "precision int8: the weights were not calibrated for it; icstream quantize does that"
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
            "inside": "the graph does all of it: give it pixels as they are",
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
    # The exporter states the newest, of which the graph uses nothing; onnxruntime 1.15 reads this.
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
    except RuntimeError as error:  # OpenVINO does not say what the disk said
        raise OSError(errno.EIO, f"OpenVINO cannot write it ({error})", str(out)) from error
    finally:
        partial.unlink(missing_ok=True)
        partial_weights.unlink(missing_ok=True)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
