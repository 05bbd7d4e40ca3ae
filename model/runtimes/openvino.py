"""OpenVINO on the CPU."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from icstream.model.cache import cache_dir, keep
from icstream.model.checkpoint import Checkpoint
from icstream.model.planes import copy_planes
from icstream.model.quantise import quantise
from icstream.model.runtimes.processor import cpu_does_bf16

_MAX_SHAPES = 4
"""So many compiled input shapes are kept; a camera or a recording needs one."""
_GRAPH_VERSION = 4
"""To be raised when the deploy graph changes: graphs in the cache are of no use then."""


class OpenVinoRuntime:
    """The deploy graph compiled for the CPU, once for each input shape.

    Converting it takes PyTorch and seconds; the result is kept in the cache.
    """

    def __init__(self, checkpoint: Checkpoint, *, precision: str, threads: int) -> None:
        self._checkpoint = checkpoint
        self._ranges = checkpoint.ranges if precision == "int8" else None
        # What is not quantised is in bf16 where the processor has it.
        self._is_bf16 = precision == "bf16" or (precision == "int8" and cpu_does_bf16())
        self._core = openvino.Core()
        self._settings = {
            # Left alone, OpenVINO would take bf16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": "bf16" if self._is_bf16 else "f32",
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
        compiled.input.fill(rgb_NHW3)
        for place, tensor in enumerate(compiled.input.tensors):
            compiled.request.set_input_tensor(place, tensor)
        outputs = compiled.request.infer(share_outputs=True)
        return np.asarray(outputs[0], np.float32)

    def _compile(self, shape: tuple[int, ...]) -> "_Compiled":
        sides = "x".join(map(str, shape))
        release = openvino.__version__.split("-")[0]
        kind = f"{release}-{_GRAPH_VERSION}{'-bf16' if self._is_bf16 else ''}"
        kind += "-int8" if self._ranges else ""
        name = f"{self._checkpoint.digest()[:32]}-{sides}-{kind}.xml"
        model = self._cached(cache_dir() / name)
        if model is None:
            convert = _CentredInput.convert if self._is_bf16 else _PlanarInput.convert
            model = convert(self._checkpoint, shape)
            if self._ranges is not None:
                quantise(model, self._ranges, beside="bf16" if self._is_bf16 else "fp32")
            # The weights come first, so that a graph in the cache always has them.
            weights = Path(name).with_suffix(".bin").name

            def write(graph: Path) -> None:
                openvino.save_model(model, graph, compress_to_fp16=False)
                graph.with_suffix(".bin").replace(graph.with_name(weights))

            keep(name, write)
        compiled = self._core.compile_model(model, "CPU", self._settings)
        kept = _CentredInput(self._checkpoint, shape) if self._is_bf16 else _PlanarInput(shape)
        return _Compiled(compiled.create_infer_request(), kept)

    def _cached(self, path: Path) -> Any:
        if not path.exists():
            return None
        try:
            return self._core.read_model(path)
        except RuntimeError:  # damaged: it is made again
            return None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The graph for inputs of one size, and the memory that it reads."""

    request: openvino.InferRequest
    input: "_PlanarInput | _CentredInput"


class _PlanarInput:
    """What `PlanarDeployGraph` reads: planes of uint8, where they lie if that is possible."""

    def __init__(self, shape_NHW3: tuple[int, ...]) -> None:
        batch, height, width, _ = shape_NHW3
        self._full_N3HW = np.empty((batch, 3, height, width), np.uint8)
        half = (batch, 3, (height + 1) // 2, (width + 1) // 2)
        self._half_N3hw = np.empty(half, np.uint8)
        self.tensors = [
            openvino.Tensor(array, shared_memory=True)
            for array in (self._full_N3HW, self._half_N3hw)
        ]

    @staticmethod
    def convert(checkpoint: Checkpoint, shape_NHW3: tuple[int, ...]) -> Any:
        """Gives the graph."""
        import torch

        from icstream.model.convert_graph import to_openvino
        from icstream.model.deploy import PlanarDeployGraph

        examples = [
            torch.zeros(tuple(tensor.shape), dtype=torch.uint8)
            for tensor in _PlanarInput(shape_NHW3).tensors
        ]
        return to_openvino(PlanarDeployGraph(checkpoint), examples)

    def fill(self, rgb_NHW3: NDArray[np.uint8]) -> None:
        """Takes the next inputs."""
        full_N3HW = _planes(rgb_NHW3, self._full_N3HW)
        if not full_N3HW.flags.writeable:  # OpenVINO wants to be allowed to write
            np.copyto(self._full_N3HW, full_N3HW)
            full_N3HW = self._full_N3HW
        self.tensors[0] = openvino.Tensor(full_N3HW, shared_memory=True)
        np.copyto(self._half_N3hw, full_N3HW[:, :, ::2, ::2])


class _CentredInput:
    """What `CentredDeployGraph` reads: pixels in bfloat16, less the mean."""

    def __init__(self, checkpoint: Checkpoint, shape_NHW3: tuple[int, ...]) -> None:
        self._mean_3 = np.array(checkpoint.preprocessing.mean_rgb, np.float32)
        batch, height, width, _ = shape_NHW3
        self._spare_N3HW = np.empty((batch, 3, height, width), np.uint8)
        sizes = (height, width), ((height + 1) // 2, (width + 1) // 2)
        bf16 = openvino.Type.bf16
        self.tensors = [openvino.Tensor(bf16, openvino.Shape([batch, *s, 3])) for s in sizes]
        self._full_NHW3, self._half_Nhw3 = (
            tensor.data.view(np.uint16).reshape(batch, size[0], 3 * size[1])
            for tensor, size in zip(self.tensors, sizes, strict=True)
        )

    @staticmethod
    def convert(checkpoint: Checkpoint, shape_NHW3: tuple[int, ...]) -> Any:
        """Gives the graph."""
        import torch
        from openvino.preprocess import PrePostProcessor

        from icstream.model.convert_graph import to_openvino
        from icstream.model.deploy import CentredDeployGraph

        tensors = _CentredInput(checkpoint, shape_NHW3).tensors
        examples = [torch.zeros(tuple(tensor.shape)) for tensor in tensors]
        typed = PrePostProcessor(to_openvino(CentredDeployGraph(checkpoint), examples))
        for place in range(len(tensors)):
            typed.input(place).tensor().set_element_type(openvino.Type.bf16)
        return typed.build()

    def fill(self, rgb_NHW3: NDArray[np.uint8]) -> None:
        """Takes the next inputs."""
        from icstream.model.centre import centre

        planes_N3HW = _planes(rgb_NHW3, self._spare_N3HW)
        for planes_3HW, full_HW3, half_hw3 in zip(
            planes_N3HW, self._full_NHW3, self._half_Nhw3, strict=True
        ):
            centre(planes_3HW, self._mean_3, full_HW3, half_hw3)


def _planes(rgb_NHW3: NDArray[np.uint8], spare_N3HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gives the planes of inputs, where they lie or in `spare`."""
    planes_N3HW = rgb_NHW3.transpose(0, 3, 1, 2)
    if planes_N3HW.flags.c_contiguous:
        return planes_N3HW
    for rgb_HW3, planes_3HW in zip(rgb_NHW3, spare_N3HW, strict=True):
        copy_planes(rgb_HW3, planes_3HW.transpose(1, 2, 0))
    return spare_N3HW
