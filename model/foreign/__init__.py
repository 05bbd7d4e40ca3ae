"""Weights that other programs wrote, turned into checkpoints of ours."""

from icstream.model.foreign.conversion import Converted, convert
from icstream.model.foreign.report import Report

__all__ = [
    "Converted",
    "Report",
    "convert",
]
