"""Engines that run the network, behind one protocol."""

from icstream.model.runtimes.choose import (
    Choice,
    Precision,
    RuntimeName,
    choose,
    cpu_does_bf16,
    open_runtime,
)
from icstream.model.runtimes.protocol import Runtime

__all__ = [
    "Choice",
    "Precision",
    "Runtime",
    "RuntimeName",
    "choose",
    "cpu_does_bf16",
    "open_runtime",
]
