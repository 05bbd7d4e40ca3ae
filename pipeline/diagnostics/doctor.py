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
"""Packages that are required where they exist, but not elsewhere."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    ok: bool
    """Whether icstream can work like this."""
    text: str
    """The finding, with advice if there is a problem."""

    def line(self) -> str:
        """Return it as a line for people."""
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.name}: {self.text}"

    def values(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"ok": self.ok, "text": self.text}


def check_environment() -> list[Finding]:
    """Return all findings, without ever raising."""
    findings = [_python()]
    findings += [_package(name) for name in requirements() if name not in _OPTIONAL]
    return findings + [_run_check(name, check) for name, check in _checks().items()]


_Check = Callable[[], tuple[bool, str]]
"""Function that returns the fields of a `Finding` after its name."""


def _checks() -> dict[str, _Check]:
    return {
        "openvino": _openvino,
        "onnx": _onnx,
        "codecs": _codecs,
        "processor": _cpu,
        "cuda": _cuda,
        "shared memory": _shared_memory,
        "weights": _weights,
    }


def _run_check(name: str, check: _Check) -> Finding:
    try:
        return Finding(name, *check())
    except Exception as error:  # whatever is broken must be reported
        return Finding(name, False, f"{type(error).__name__}: {error}")


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


def _openvino() -> tuple[bool, str]:
    try:
        import openvino
    except ImportError:
        return True, "not installed; inference on the CPU will be slower"
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return True, f"{version('openvino')}, CPU: {', '.join(able)}"


def _onnx() -> tuple[bool, str]:
    names = requirements("onnx")
    lacking = missing(names)
    if lacking:
        return (
            True,
            f"{', '.join(lacking)} not installed, so neither runtime nor export is available;"
            " pip install 'icstream[onnx]'",
        )
    return True, ", ".join(f"{name} {version(name)}" for name in names)


def _codecs() -> tuple[bool, str]:
    import av

    needed = {"ffv1": "masks.mp4", "libx264": "overlay.mp4", "h264": "most recordings"}
    lacking = [f"{name} ({use})" for name, use in needed.items() if not _has_codec(name)]
    text = f"missing {', '.join(lacking)}" if lacking else ", ".join(needed)
    return not lacking, f"FFmpeg in PyAV {av.__version__}: {text}"


def _has_codec(name: str) -> bool:
    import av

    return name in av.codecs_available


def _cpu() -> tuple[bool, str]:
    from icstream.model.runtimes import cpu_flags

    flags = cpu_flags()
    known = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    useful = [flag for flag in known if flag in flags]
    return True, f"{os.cpu_count()} cores, {', '.join(useful) or 'no AVX2 found'}"


def _cuda() -> tuple[bool, str]:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return True, ", ".join(names) or "no device; inference runs on the CPU"


def _shared_memory() -> tuple[bool, str]:
    from icstream.pipeline.wire.shared_memory import Arena

    if not Arena.available():
        return True, "no anonymous files on this system; pixels are sent in messages"
    arena = Arena()
    try:
        arena.take(2**24)
    finally:
        arena.close()
    return True, "anonymous files; /dev/shm is not used"


def _weights() -> tuple[bool, str]:
    from icstream.model import load_weights, weight_names
    from icstream.model.pretrained import RANDOM

    names = [name for name in weight_names() if name != RANDOM]
    for name in names:
        load_weights(name)
    return True, f"shipped: {', '.join(names) or 'none'}"
