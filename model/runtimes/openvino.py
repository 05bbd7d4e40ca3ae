"""OpenVINO on the CPU."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from icstream.model.cache import cache_dir, keep
from icstream.model.checkpoint import Checkpoint
from icstream.model.planes import copy_planes
from icstream.model.quantise import quantise

_TYPES = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
"""Of int8: what is not quantised."""
_MAX_SHAPES = 4
"""So many compiled input shapes are kept; a camera or a recording needs one."""
_GRAPH_VERSION = 3
"""To be raised when the deploy graph changes: graphs in the cache are of no use then."""


class OpenVinoRuntime:
    """The deploy graph compiled for the CPU, once for each input shape.

    Converting it takes PyTorch and seconds; the result is kept in the cache.
    """

    def __init__(self, checkpoint: Checkpoint, *, precision: str, threads: int) -> None:
        self._checkpoint = checkpoint
        self._ranges = checkpoint.ranges if precision == "int8" else None
        self._core = openvino.Core()
        self._settings = {
            # Left alone, OpenVINO would take bf16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": _TYPES[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Pinned, the threads of all replicas would sit on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled: OrderedDict[tuple[int, ...], _Compiled] = OrderedDict()

    def scores(self, rgb_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Runtime.scores`."""
        compiled = self._compiled.get(rgb_NHW3.shape)
        if compiled is None:
            compiled = self._compiled[rgb_NHW3.shape] = self._compile(rgb_NHW3.shape)
            if len(self._compiled) > _MAX_SHAPES:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(rgb_NHW3.shape)
        outputs = compiled.infer(rgb_NHW3)
        return np.asarray(outputs[0], np.float32)

    def _compile(self, shape: tuple[int, ...]) -> "_Compiled":
        sides = "x".join(map(str, shape))
        release = openvino.__version__.split("-")[0]
        kind = f"{release}-{_GRAPH_VERSION}{'-int8' if self._ranges else ''}"
        name = f"{self._checkpoint.digest()[:32]}-{sides}-{kind}.xml"
        model = self._cached(cache_dir() / name)
        if model is None:
            model = _convert(self._checkpoint, shape)
            if self._ranges is not None:
                quantise(model, self._ranges)
            # The weights come first, so that a graph in the cache always has them.
            weights = Path(name).with_suffix(".bin").name

            def write(graph: Path) -> None:
                openvino.save_model(model, graph, compress_to_fp16=False)
                graph.with_suffix(".bin").replace(graph.with_name(weights))

            keep(name, write)
        compiled = self._core.compile_model(model, "CPU", self._settings)
        return _Compiled(compiled.create_infer_request(), shape)

    def _cached(self, path: Path) -> Any:
        if not path.exists():
            return None
        try:
            return self._core.read_model(path)
        except RuntimeError:  # damaged: it is made again
            return None


class _Compiled:
    """The graph for inputs of one size, and memory for them."""

    def __init__(self, request: openvino.InferRequest, shape_NHW3: tuple[int, ...]) -> None:
        self._request = request
        full_shape, half_shape = _planar_shapes(shape_NHW3)
        self._full_N3HW = np.empty(full_shape, np.uint8)
        self._half_N3hw = np.empty(half_shape, np.uint8)
        request.set_input_tensor(1, openvino.Tensor(self._half_N3hw, shared_memory=True))

    def infer(self, rgb_NHW3: NDArray[np.uint8]) -> Any:
        """Gives the outputs; inputs that lie in memory as the network reads them are not copied."""
        full_N3HW = rgb_NHW3.transpose(0, 3, 1, 2)
        if not (full_N3HW.flags.c_contiguous and full_N3HW.flags.writeable):
            for rgb_HW3, planes_3HW in zip(rgb_NHW3, self._full_N3HW, strict=True):
                copy_planes(rgb_HW3, planes_3HW.transpose(1, 2, 0))
            full_N3HW = self._full_N3HW
        np.copyto(self._half_N3hw, full_N3HW[:, :, ::2, ::2])
        self._request.set_input_tensor(0, openvino.Tensor(full_N3HW, shared_memory=True))
        return self._request.infer(share_outputs=True)


def _planar_shapes(shape_NHW3: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Gives the shapes of the two inputs of `PlanarDeployGraph`."""
    batch, height, width, _ = shape_NHW3
    return (batch, 3, height, width), (batch, 3, (height + 1) // 2, (width + 1) // 2)


def _convert(checkpoint: Checkpoint, shape: tuple[int, ...]) -> Any:
    import torch

    from icstream.model.convert_graph import to_openvino
    from icstream.model.deploy import PlanarDeployGraph

    examples = [torch.zeros(shape, dtype=torch.uint8) for shape in _planar_shapes(shape)]
    return to_openvino(PlanarDeployGraph(checkpoint), examples)
