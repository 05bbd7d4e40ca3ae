"""The runtimes of the network, behind one protocol."""

from icstream.model.runtimes.cpu import cpu_does_bf16, cpu_does_int8, cpu_flags
from icstream.model.runtimes.protocol import Runtime
from icstream.model.runtimes.select import (
    Precision,
    RuntimeChoice,
    RuntimeName,
    open_runtime,
    select_runtime,
)

__all__ = [
    "Precision",
    "Runtime",
    "RuntimeChoice",
    "RuntimeName",
    "cpu_does_bf16",
    "cpu_does_int8",
    "cpu_flags",
    "open_runtime",
    "select_runtime",
]
