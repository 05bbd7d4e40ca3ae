"""OpenVINO on the CPU."""

import warnings
from collections import OrderedDict

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from icstream.model.checkpoint import Checkpoint
from icstream.model.deploy import DeployGraph

_TYPES = {"fp32": "f32", "bf16": "bf16"}
_MAX_SHAPES = 4
"""So many compiled input shapes are kept; a camera or a recording needs one."""


class OpenVinoRuntime:
    """The deploy graph compiled for the CPU, once for each input shape."""

    def __init__(self, checkpoint: Checkpoint, *, precision: str, threads: int) -> None:
        self._graph = DeployGraph(checkpoint)
        self._core = openvino.Core()
        self._settings = {
            # Left alone, OpenVINO would take bf16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": _TYPES[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
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
        example_NHW3 = torch.zeros(shape, dtype=torch.uint8)
        with torch.no_grad(), warnings.catch_warnings():
            # Sizes become constants of the trace, which is what is wanted here.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(self._graph, example_NHW3, check_trace=False)  # type: ignore[no-untyped-call]
            model = openvino.convert_model(
                traced, example_input=example_NHW3, input=[("rgb_NHW3", list(shape))]
            )
        return self._core.compile_model(model, "CPU", self._settings).create_infer_request()
