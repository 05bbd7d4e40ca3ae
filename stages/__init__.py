"""What is done to frames: decode, preprocess, segment, encode; and what travels.

`annotate_image` is imported on first use, so that stages of a stream start without what it needs.
"""

from typing import TYPE_CHECKING, Any

from icstream.stages.accounting import Books
from icstream.stages.items import ClassIds, End, FormatChange, Frame, FrameMeta, Gap, Item
from icstream.stages.stage import Stage

if TYPE_CHECKING:
    from icstream.stages.annotate import annotate_image

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
    "annotate_image",
]


def __getattr__(name: str) -> Any:
    if name != "annotate_image":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from icstream.stages.annotate import annotate_image

    return annotate_image
