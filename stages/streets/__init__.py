"""Synthetic streets: rendered scenes with exact class masks, as frames or recordings."""

from icstream.stages.streets.clip import TIME_BASE, write_clip
from icstream.stages.streets.street import Street

__all__ = [
    "TIME_BASE",
    "Street",
    "write_clip",
]
