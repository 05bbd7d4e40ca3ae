"""Conversion of weights of other programs to checkpoints."""

from icstream.model.foreign.conversion import Converted, convert
from icstream.model.foreign.report import Report

__all__ = [
    "Converted",
    "Report",
    "convert",
]
