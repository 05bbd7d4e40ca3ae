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
from icstream.model.planes import Planes
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
        compiled.planes.fill(rgb_NHW3)
        outputs = compiled.request.infer(share_outputs=True)
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
        request = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        planes = Planes(shape)
        for place, array in enumerate((planes.full_N3HW, planes.half_N3hw)):
            request.set_input_tensor(place, openvino.Tensor(array, shared_memory=True))
        return _Compiled(request, planes)

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
    planes: Planes


def _convert(checkpoint: Checkpoint, shape: tuple[int, ...]) -> Any:
    import torch

    from icstream.model.convert_graph import to_openvino
    from icstream.model.deploy import PlanarDeployGraph

    planes = Planes(shape)
    examples = torch.from_numpy(planes.full_N3HW), torch.from_numpy(planes.half_N3hw)
    return to_openvino(PlanarDeployGraph(checkpoint), examples)
