"""OpenVINO on the CPU."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from icstream.model import cache
from icstream.model.checkpoint import Checkpoint
from icstream.model.planar import copy_planes
from icstream.model.runtimes.cpu import cpu_does_bf16, cpu_key
from icstream.model.runtimes.quantize import quantize_graph

log = logging.getLogger(__name__)

_MAX_SIZES = 4
"""The number of compiled input shapes kept; a camera or a recording needs one."""
_GRAPH_VERSION = 6
"""The version of the deploy graph, to be raised with each change so that no old one is loaded."""


class OpenVinoRuntime:
    """The deploy graph, compiled by OpenVINO for the CPU and each input shape.

    Compilation needs PyTorch and takes seconds; the result is cached.
    """

    def __init__(self, checkpoint: Checkpoint, *, precision: str, threads: int) -> None:
        self._checkpoint = checkpoint
        self._ranges = checkpoint.ranges if precision == "int8" else None
        # Layers that are not quantized are in bf16 where the CPU has it.
        self._is_bf16 = precision == "bf16" or (precision == "int8" and cpu_does_bf16())
        self._core = openvino.Core()
        self._settings = {
            # By default OpenVINO uses bf16 wherever the CPU has it.
            "INFERENCE_PRECISION_HINT": "bf16" if self._is_bf16 else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Pinned threads of all replicas would share the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self.max_sizes: int | None = _MAX_SIZES
        self._compiled: OrderedDict[tuple[int, ...], _Compiled] = OrderedDict()

    def scores(self, rgb_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Implement `Runtime.scores`."""
        compiled = self._compiled.get(rgb_NHW3.shape)
        if compiled is None:
            compiled = self._compiled[rgb_NHW3.shape] = self._compile(rgb_NHW3.shape)
            if self.max_sizes is not None and len(self._compiled) > self.max_sizes:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(rgb_NHW3.shape)
        compiled.input.fill(rgb_NHW3)
        outputs = compiled.request.infer(share_outputs=True)
        return np.asarray(outputs[0], np.float32)

    def forget(self, size: tuple[int, int]) -> None:
        """Implement `Runtime.forget`."""
        for shape in [shape for shape in self._compiled if shape[1:3] == size]:
            del self._compiled[shape]

    def _compile(self, shape: tuple[int, ...]) -> "_Compiled":
        graph_input = _MeanFreeInput(self._checkpoint, shape, is_bf16=self._is_bf16)
        name = self._name(shape)
        compiled = self._cached(name)
        if compiled is None:
            model = graph_input.convert(self._checkpoint)
            if self._ranges is not None:
                quantize_graph(model, self._ranges, beside="bf16" if self._is_bf16 else "fp32")
            compiled = self._core.compile_model(model, "CPU", self._settings)
            cache.store(name, compiled.export_model().getvalue())
        request = compiled.create_infer_request()
        for place, tensor in enumerate(graph_input.tensors):
            request.set_input_tensor(place, tensor)
        return _Compiled(request, graph_input)

    def _name(self, shape: tuple[int, ...]) -> str:
        """Return the name in the cache, which covers all that determines the compiled graph."""
        release = "-".join(openvino.__version__.split("-")[:2])
        kinds = [str(_GRAPH_VERSION), "bf16" if self._is_bf16 else "fp32"]
        kinds += ["int8"] * (self._ranges is not None)
        kinds += [f"threads{self._settings['INFERENCE_NUM_THREADS']}", cpu_key()]
        sides = "x".join(map(str, shape))
        return f"{self._checkpoint.digest()[:32]}-{sides}-{release}-{'-'.join(kinds)}.blob"

    def _cached(self, name: str) -> openvino.CompiledModel | None:
        exported = cache.load(name)
        if exported is None:
            return None
        try:
            return self._core.import_model(BytesIO(exported), "CPU", self._settings)
        except RuntimeError as error:  # from another build of the same version
            log.debug("cache %s: %s", name, error)
            return None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The graph for inputs of one size, and its input memory."""

    request: openvino.InferRequest
    input: "_MeanFreeInput"


class _MeanFreeInput:
    """The input of `MeanFreeDeployGraph`: pixels minus the mean, in fp32 or bf16."""

    def __init__(
        self, checkpoint: Checkpoint, shape_NHW3: tuple[int, ...], *, is_bf16: bool
    ) -> None:
        self._is_bf16 = is_bf16
        self._mean_3 = np.array(checkpoint.preprocessing.mean_rgb, np.float32)
        batch, height, width, _ = shape_NHW3
        self._spare_N3HW = np.empty((batch, 3, height, width), np.uint8)
        sizes = (height, width), ((height + 1) // 2, (width + 1) // 2)
        type_ = openvino.Type.bf16 if is_bf16 else openvino.Type.f32
        self.tensors = [openvino.Tensor(type_, openvino.Shape([batch, *s, 3])) for s in sizes]
        # numpy has no bf16, so the arrays hold its bits.
        values = [t.data.view(np.uint16) if is_bf16 else t.data for t in self.tensors]
        self._full_NHW3, self._half_Nhw3 = (
            value.reshape(batch, size[0], 3 * size[1])
            for value, size in zip(values, sizes, strict=True)
        )

    def convert(self, checkpoint: Checkpoint) -> Any:
        """Return the graph for this input, uncompiled."""
        import torch
        from openvino.preprocess import PrePostProcessor

        from icstream.model.deploy import MeanFreeDeployGraph
        from icstream.model.runtimes.graph_conversion import to_openvino

        examples = [torch.zeros(tuple(tensor.shape)) for tensor in self.tensors]
        typed = PrePostProcessor(to_openvino(MeanFreeDeployGraph(checkpoint), examples))
        for place, tensor in enumerate(self.tensors):
            typed.input(place).tensor().set_element_type(tensor.element_type)
        return typed.build()

    def fill(self, rgb_NHW3: NDArray[np.uint8]) -> None:
        """Write the next inputs into `tensors`."""
        from icstream.model.subtract_mean import subtract_mean_bf16, subtract_mean_fp32

        subtract_mean = subtract_mean_bf16 if self._is_bf16 else subtract_mean_fp32
        planes_N3HW = _planes(rgb_NHW3, self._spare_N3HW)
        for planes_3HW, full_HW3, half_hw3 in zip(
            planes_N3HW, self._full_NHW3, self._half_Nhw3, strict=True
        ):
            subtract_mean(planes_3HW, self._mean_3, full_HW3, half_hw3)


def _planes(rgb_NHW3: NDArray[np.uint8], spare_N3HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the planes of inputs, as views if they are contiguous, else copied to `spare_N3HW`."""
    planes_N3HW = rgb_NHW3.transpose(0, 3, 1, 2)
    if planes_N3HW.flags.c_contiguous:
        return planes_N3HW
    for image_HW3, planes_3HW in zip(rgb_NHW3, spare_N3HW, strict=True):
        copy_planes(image_HW3, planes_3HW.transpose(1, 2, 0))
    return spare_N3HW
