"""OpenVINO on the CPU."""

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from icstream.model.cache import cache_dir, keep
from icstream.model.checkpoint import Checkpoint

_TYPES = {"fp32": "f32", "bf16": "bf16"}
_MAX_SHAPES = 4
"""So many compiled input shapes are kept; a camera or a recording needs one."""
_GRAPH_VERSION = 1
"""To be raised when the deploy graph changes: graphs in the cache are of no use then."""


class OpenVinoRuntime:
    """The deploy graph compiled for the CPU, once for each input shape.

    Converting it takes PyTorch and seconds; the result is kept in the cache.
    """

    def __init__(self, checkpoint: Checkpoint, *, precision: str, threads: int) -> None:
        self._checkpoint = checkpoint
        self._core = openvino.Core()
        self._settings = {
            # Left alone, OpenVINO would take bf16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": _TYPES[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Pinned, the threads of all replicas would sit on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._requests: OrderedDict[tuple[int, ...], openvino.InferRequest] = OrderedDict()

    def scores(self, rgb_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Runtime.scores`."""
        request = self._requests.get(rgb_NHW3.shape)
        if request is None:
            request = self._requests[rgb_NHW3.shape] = self._compile(rgb_NHW3.shape)
            if len(self._requests) > _MAX_SHAPES:
                self._requests.popitem(last=False)
        self._requests.move_to_end(rgb_NHW3.shape)
        outputs = request.infer([rgb_NHW3], share_inputs=True, share_outputs=True)
        return np.asarray(outputs[0], np.float32)

    def _compile(self, shape: tuple[int, ...]) -> openvino.InferRequest:
        sides = "x".join(map(str, shape))
        release = openvino.__version__.split("-")[0]
        name = f"{self._checkpoint.digest()[:32]}-{sides}-{release}-{_GRAPH_VERSION}.xml"
        model = self._cached(cache_dir() / name)
        if model is None:
            model = _convert(self._checkpoint, shape)
            # The weights come first, so that a graph in the cache always has them.
            weights = Path(name).with_suffix(".bin").name

            def write(graph: Path) -> None:
                openvino.save_model(model, graph, compress_to_fp16=False)
                graph.with_suffix(".bin").replace(graph.with_name(weights))

            keep(name, write)
        return self._core.compile_model(model, "CPU", self._settings).create_infer_request()

    def _cached(self, path: Path) -> Any:
        if not path.exists():
            return None
        try:
            return self._core.read_model(path)
        except RuntimeError:  # damaged: it is made again
            return None


def _convert(checkpoint: Checkpoint, shape: tuple[int, ...]) -> Any:
    import torch

    from icstream.model.deploy import DeployGraph

    example_NHW3 = torch.zeros(shape, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        # Sizes become constants of the trace, which is what is wanted here.
        warnings.simplefilter("ignore")
        graph = DeployGraph(checkpoint)
        traced = torch.jit.trace(graph, example_NHW3, check_trace=False)  # type: ignore[no-untyped-call]
        return openvino.convert_model(
            traced, example_input=example_NHW3, input=[("rgb_NHW3", list(shape))]
        )
