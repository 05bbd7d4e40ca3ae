"""What the processor computes fast, as far as the choice of a precision depends on it."""

import hashlib
import importlib.util
import platform
from functools import lru_cache
from pathlib import Path

_BF16_FLAGS = frozenset(("avx512_bf16", "avx_ne_convert"))
"""What OpenVINO wants for bf16, by Linux's names."""
_INT8_FLAGS = frozenset(("amx_int8", "avx512_vnni", "avx_vnni"))
"""Dot products of eight-bit numbers."""


def has_openvino() -> bool:
    """True if the package is installed."""
    return importlib.util.find_spec("openvino") is not None


@lru_cache(maxsize=1)
def cpu_does_bf16() -> bool:
    """True if OpenVINO is there and finds bf16 instructions in this processor."""
    if not has_openvino():
        return False
    if cpu_flags():  # importing OpenVINO takes a tenth of a second
        return not _BF16_FLAGS.isdisjoint(cpu_flags())
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@lru_cache(maxsize=1)
def cpu_does_int8() -> bool:
    """True if this processor has instructions for int8; without them it gains little or nothing."""
    return not _INT8_FLAGS.isdisjoint(cpu_flags())


@lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """Gives the processor's features by Linux's names; none on other systems."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()


def processor_key() -> str:
    """Gives a short name that processors share only if they can run the same compiled code."""
    features = " ".join(sorted(cpu_flags())) or platform.processor()
    return hashlib.sha256(f"{platform.machine()} {features}".encode()).hexdigest()[:8]
