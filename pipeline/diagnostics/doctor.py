"""Checks that the environment can run icstream."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

from icstream.model.packages import missing, module_of, requirements

_MIN_PYTHON = (3, 11)
_OPTIONAL = ("openvino",)
"""Packages that are required where they exist, and done without elsewhere."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    ok: bool
    """False if icstream cannot do its work like this."""
    text: str
    """What was found, and what to do if it is not enough."""

    def line(self) -> str:
        """Return it as a line for people."""
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.name}: {self.text}"

    def values(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"ok": self.ok, "text": self.text}


def check_environment() -> list[Finding]:
    """Return all findings; it never raises."""
    findings = [_python()]
    findings += [_package(name) for name in requirements() if name not in _OPTIONAL]
    for check in (_openvino, _onnx, _codecs, _cpu, _cuda, _shared_memory, _weights):
        findings.append(_run_check(check))
    return findings


def _run_check(check: Callable[[], Finding]) -> Finding:
    # Whatever a check finds broken must be reported, so any error is a finding here.
    try:
        return check()
    except Exception as error:
        return Finding(check.__name__.removeprefix("_"), False, f"{type(error).__name__}: {error}")


def _python() -> Finding:
    need = ".".join(map(str, _MIN_PYTHON))
    return Finding(
        "python", sys.version_info >= _MIN_PYTHON, f"{platform.python_version()}, needs {need}"
    )


def _package(package: str) -> Finding:
    try:
        import_module(module_of(package))
    except ImportError as error:
        return Finding(package, False, f"cannot be imported ({error}); pip install {package}")
    return Finding(package, True, version(package))


def _openvino() -> Finding:
    try:
        import openvino
    except ImportError:
        return Finding("openvino", True, "not installed; inference on the CPU will be slower")
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return Finding("openvino", True, f"{version('openvino')}, CPU: {', '.join(able)}")


def _onnx() -> Finding:
    names = requirements("onnx")
    lacking = missing(names)
    if lacking:
        return Finding(
            "onnx",
            True,
            f"without {', '.join(lacking)}: no runtime onnx, no export to it;"
            " pip install 'icstream[onnx]'",
        )
    return Finding("onnx", True, ", ".join(f"{name} {version(name)}" for name in names))


def _codecs() -> Finding:
    import av

    needed = {"ffv1": "masks.mp4", "libx264": "overlay.mp4", "h264": "most recordings"}
    lacking = [f"{name} ({use})" for name, use in needed.items() if not _has_codec(name)]
    text = f"lacking {', '.join(lacking)}" if lacking else ", ".join(needed)
    return Finding("codecs", not lacking, f"FFmpeg in PyAV {av.__version__}: {text}")


def _has_codec(name: str) -> bool:
    import av

    return name in av.codecs_available


def _cpu() -> Finding:
    from icstream.model.runtimes import cpu_flags

    flags = cpu_flags()
    known = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    useful = [flag for flag in known if flag in flags]
    return Finding(
        "processor", True, f"{os.cpu_count()} cores, {', '.join(useful) or 'no AVX2 found'}"
    )


def _cuda() -> Finding:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("cuda", True, ", ".join(names) or "no device; inference runs on the CPU")


def _shared_memory() -> Finding:
    from icstream.pipeline.wire.shared_memory import Arena

    if not Arena.available():
        return Finding("shared memory", True, "no anonymous files here; pixels travel in messages")
    arena = Arena()
    try:
        arena.take(2**24)
    finally:
        arena.close()
    return Finding("shared memory", True, "anonymous files; /dev/shm is not used")


def _weights() -> Finding:
    from icstream.model import load_weights, weight_names
    from icstream.model.pretrained import RANDOM

    names = [name for name in weight_names() if name != RANDOM]
    for name in names:
        load_weights(name)
    return Finding("weights", True, f"shipped: {', '.join(names) or 'none'}")
