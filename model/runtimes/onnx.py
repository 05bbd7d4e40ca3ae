"""ONNX Runtime on the CPU."""

from collections import OrderedDict

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from icstream.model import cache
from icstream.model.checkpoint import Checkpoint

_MAX_SIZES = 4
"""The number of sessions kept; a camera or a recording needs one."""
_GRAPH_VERSION = 2
"""The version of the deploy graph, to be raised with each change so that no old one is loaded."""
_SILENT = 3


class OnnxRuntime:
    """The deploy graph in ONNX Runtime, in fp32, with a session for each input shape.

    Conversion needs PyTorch and takes seconds; the result is cached.
    """

    def __init__(self, checkpoint: Checkpoint, *, threads: int) -> None:
        self._checkpoint = checkpoint
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        # Waiting threads must leave the CPU to the other stages.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._options.log_severity_level = _SILENT
        self.max_sizes: int | None = _MAX_SIZES
        self._sessions: OrderedDict[tuple[int, ...], onnxruntime.InferenceSession] = OrderedDict()

    def scores(self, rgb_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Implement `Runtime.scores`."""
        session = self._sessions.get(rgb_NHW3.shape)
        if session is None:
            session = self._sessions[rgb_NHW3.shape] = self._open(rgb_NHW3.shape)
            if self.max_sizes is not None and len(self._sessions) > self.max_sizes:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(rgb_NHW3.shape)
        (scores_NKhw,) = session.run(None, {"rgb": np.ascontiguousarray(rgb_NHW3)})
        return np.asarray(scores_NKhw, np.float32)

    def forget(self, size: tuple[int, int]) -> None:
        """Implement `Runtime.forget`."""
        for shape in [shape for shape in self._sessions if shape[1:3] == size]:
            del self._sessions[shape]

    def _open(self, shape: tuple[int, ...]) -> onnxruntime.InferenceSession:
        sides = "x".join(map(str, shape))
        name = f"{self._checkpoint.digest()[:32]}-{sides}-{_GRAPH_VERSION}.onnx"
        content = cache.load(name)
        if content is None:
            content = _convert(self._checkpoint, shape)
            cache.store(name, content)
        return self._session(content)

    def _session(self, content: bytes) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(
            content, self._options, providers=["CPUExecutionProvider"]
        )


def _convert(checkpoint: Checkpoint, shape: tuple[int, ...]) -> bytes:
    import torch

    from icstream.model.deploy import DeployGraph
    from icstream.model.runtimes.graph_conversion import to_onnx

    example_NHW3 = torch.zeros(shape, dtype=torch.uint8)
    model = to_onnx(DeployGraph(checkpoint), example_NHW3, names=("rgb", "scores"))
    return bytes(model.SerializeToString())
