"""Selection of the runtime, device and precision."""

import ctypes
import importlib.util
import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from icstream.model.checkpoint import Agreement, Checkpoint
from icstream.model.errors import ConfigError
from icstream.model.runtimes.cpu import (
    cpu_does_bf16,
    cpu_does_int8,
    has_openvino,
    int8_sums_saturate,
)
from icstream.model.runtimes.protocol import Runtime
from icstream.model.settings_base import DEFAULT_THREADS

log = logging.getLogger(__name__)

RuntimeName = Literal["auto", "torch", "openvino", "onnx"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]

MIN_PIXELS = 0.99
"""The share of pixels that must agree with fp32 for `auto` to select a lower precision."""
MAX_MIOU_POINTS = 0.5
"""The largest difference of mIoU to fp32, in percentage points, for `auto` to select a lower
precision."""

_PRECISIONS: Mapping[tuple[RuntimeName, str], tuple[Precision, ...]] = {
    ("openvino", "cpu"): ("int8", "bf16", "fp32"),
    ("torch", "cpu"): ("bf16", "fp32"),
    ("onnx", "cpu"): ("fp32",),
}
"""The precisions of each runtime and device, fastest first."""
_CUDA_PRECISIONS: tuple[Precision, ...] = ("fp16", "bf16", "fp32")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeChoice:
    """The runtime, device, precision and threads of inference, none of them "auto"."""

    runtime: RuntimeName
    """The library that computes."""
    device: str
    """The device, cpu or cuda:N."""
    precision: Precision
    """The precision of inference."""
    threads: int
    """The number of threads of inference on a CPU."""


def select_runtime(
    checkpoint: Checkpoint,
    *,
    runtime: RuntimeName = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int = DEFAULT_THREADS,
) -> RuntimeChoice:
    """Return the choice with "auto" resolved for this machine and checkpoint.

    Raises:
        ConfigError: The combination is not available on this machine; the text names alternatives.
    """
    if threads < 1:
        raise ConfigError(f"threads: got {threads}, at least 1 is needed")
    device = _device(device)
    engine = _engine(runtime, device)
    known = _PRECISIONS.get((engine, device), _CUDA_PRECISIONS)
    if precision == "auto":
        precision = next(p for p in known if p == "fp32" or _trusted(checkpoint, p, device))
    elif precision not in known:
        raise ConfigError(f"precision {precision}: {engine} on {device} offers {', '.join(known)}")
    elif precision == "bf16" and engine == "openvino" and not cpu_does_bf16():
        raise ConfigError("precision bf16: this CPU has no bf16 instructions; use fp32")
    elif precision == "int8" and checkpoint.ranges is None:
        raise ConfigError(
            "precision int8: the weights are not calibrated; run icstream quantize first"
        )
    if precision == "int8" and int8_sums_saturate():
        log.warning(
            "precision int8: this CPU has none of AMX, AVX-512 VNNI and AVX-VNNI; its sums saturate"
            " at 16 bits, so masks differ from those of other CPUs"
        )
    return RuntimeChoice(runtime=engine, device=device, precision=precision, threads=threads)


def open_runtime(checkpoint: Checkpoint, choice: RuntimeChoice) -> Runtime:
    """Return the runtime of a choice, loaded with the weights."""
    log.info(
        "%s on %s in %s, threads: %d",
        choice.runtime,
        choice.device,
        choice.precision,
        choice.threads,
    )
    if choice.runtime == "openvino":
        from icstream.model.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime(checkpoint, precision=choice.precision, threads=choice.threads)
    if choice.runtime == "onnx":
        from icstream.model.runtimes.onnx import OnnxRuntime

        return OnnxRuntime(checkpoint, threads=choice.threads)
    from icstream.model.runtimes.torch import TorchRuntime

    return TorchRuntime(
        checkpoint, device=choice.device, precision=choice.precision, threads=choice.threads
    )


def _device(name: str) -> str:
    if name == "cpu":
        return name
    if not re.fullmatch(r"auto|cuda(:\d+)?", name):
        raise ConfigError(f"device: got {name!r}, allowed are auto, cpu, cuda and cuda:N")
    if name == "auto" and not _has_cuda_driver():
        return "cpu"
    import torch

    count = torch.cuda.device_count()
    if name == "auto":
        return "cuda:0" if count else "cpu"
    if not count:
        raise ConfigError(f"device {name}: PyTorch finds no CUDA device here; use --device cpu")
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        raise ConfigError(f"device {name}: there are {count} CUDA devices, numbered from 0")
    return f"cuda:{index}"


def _engine(name: RuntimeName, device: str) -> RuntimeName:
    if name not in get_args(RuntimeName):
        raise ConfigError(f"runtime: got {name!r}, allowed are {', '.join(get_args(RuntimeName))}")
    if name == "auto":
        return "openvino" if device == "cpu" and has_openvino() else "torch"
    if name in ("openvino", "onnx") and device != "cpu":
        raise ConfigError(f"runtime {name} runs on the CPU, not on {device}; use runtime torch")
    if name == "openvino" and not has_openvino():
        raise ConfigError("runtime openvino: the package is not installed; pip install openvino")
    if name == "onnx" and importlib.util.find_spec("onnxruntime") is None:
        raise ConfigError("runtime onnx: not installed; pip install 'icstream[onnx]'")
    return name


def _trusted(checkpoint: Checkpoint, precision: Precision, device: str) -> bool:
    measured: Agreement | None = checkpoint.agreement.get(precision)
    return (
        measured is not None
        and (precision != "int8" or checkpoint.ranges is not None)
        and measured.pixels >= MIN_PIXELS
        and abs(measured.miou_points) <= MAX_MIOU_POINTS
        and (device != "cpu" or _is_fast_here(precision))
    )


def _is_fast_here(precision: Precision) -> bool:
    return cpu_does_bf16() or (precision == "int8" and cpu_does_int8())


def _has_cuda_driver() -> bool:
    """Return whether NVIDIA's driver library is present, without the slow import of PyTorch."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
