"""What is done to frames: decode, preprocess, segment, encode; and what travels."""

from icstream.stages.books import Books
from icstream.stages.items import ClassIds, End, FormatChange, Frame, FrameMeta, Gap, Item
from icstream.stages.stage import Stage

__all__ = [
    "Books",
    "ClassIds",
    "End",
    "FormatChange",
    "Frame",
    "FrameMeta",
    "Gap",
    "Item",
    "Stage",
]
