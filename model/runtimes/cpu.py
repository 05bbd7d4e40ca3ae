"""The name and features of this machine's CPU."""

import hashlib
import importlib.util
import os
import platform
import re
from functools import lru_cache
from pathlib import Path

_BF16_FLAGS = frozenset(("avx512_bf16", "avx_ne_convert"))
"""The features that OpenVINO needs for bf16, by Linux's names."""
_INT8_FLAGS = frozenset(("amx_int8", "avx512_vnni", "avx_vnni"))
"""The features for dot products of eight-bit numbers, by Linux's names."""

_COMPUTING = {
    "flags": re.compile(r"sse4_\d|avx\w*|f16c|fma|amx_\w+"),  # of x86
    "Features": re.compile(r"asimd\w*|i8mm|bf16|sve\w*|sme\w*"),  # of ARM
}
"""The features by which libraries choose their code, by Linux's keys and names."""
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""The variables that limit the features used by oneDNN, the library behind OpenVINO and PyTorch."""


def has_openvino() -> bool:
    """Return whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


@lru_cache(maxsize=1)
def cpu_does_bf16() -> bool:
    """Return whether OpenVINO is installed and this CPU has bf16 instructions."""
    if not has_openvino():
        return False
    if cpu_flags():  # importing OpenVINO takes a tenth of a second
        return not _BF16_FLAGS.isdisjoint(cpu_flags())
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@lru_cache(maxsize=1)
def cpu_does_int8() -> bool:
    """Return whether this CPU has instructions for int8, without which it is hardly faster."""
    return not _INT8_FLAGS.isdisjoint(cpu_flags())


def int8_sums_saturate() -> bool:
    """Return whether sums of eight-bit products can overflow on this CPU.

    An x86 CPU without dot products of eight-bit numbers adds pairs of products in 16 bits, with
    saturation (VPMADDUBSW, Intel's Software Developer's Manual, volume 2).
    """
    return "ssse3" in cpu_flags() and not cpu_does_int8()


@lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """Return the CPU's features by Linux's names, and none on other systems."""
    return frozenset((_cpuinfo("flags") or "").split())


def cpu_name() -> str:
    """Return the CPU's name from Linux, or from Python on other systems."""
    return _cpuinfo("model name") or platform.processor()


def _cpuinfo(key: str) -> str | None:
    """Return the first value of a key in /proc/cpuinfo, or None."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    fields = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in fields if name.strip() == key), None)


def computing_features() -> str:
    """Return the CPU's features that affect how libraries compute, and the limits set for them."""
    limits = [f"{name}={os.environ[name]}" for name in _LIMITS if os.environ.get(name)]
    for key, pattern in _COMPUTING.items():
        if features := (_cpuinfo(key) or "").split():
            return " ".join([*sorted(filter(pattern.fullmatch, features)), *limits])
    return cpu_name()


def cpu_key() -> str:
    """Return a short key that is equal only for CPUs that can run the same compiled code."""
    features = " ".join(sorted(cpu_flags())) or platform.processor()
    return hashlib.sha256(f"{platform.machine()} {features}".encode()).hexdigest()[:8]
