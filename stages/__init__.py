"""What is done to frames: decode, preprocess, segment, encode; and what travels.

`annotate_image` is imported on first use, so that stages of a stream start without what it needs.
"""

from typing import TYPE_CHECKING, Any

from icstream.model.renamed import warn_renamed
from icstream.stages.accounting import FrameAccounting
from icstream.stages.items import ClassIds, End, FormatChange, Frame, FrameMeta, Gap, Item
from icstream.stages.stage import Stage

if TYPE_CHECKING:
    from icstream.stages.annotate import annotate_image

__all__ = [
    "ClassIds",
    "End",
    "FormatChange",
    "Frame",
    "FrameAccounting",
    "FrameMeta",
    "Gap",
    "Item",
    "Stage",
    "annotate_image",
]


def __getattr__(name: str) -> Any:
    if name == "Books":
        warn_renamed("icstream.stages.Books", "icstream.stages.FrameAccounting")
        return FrameAccounting
    if name != "annotate_image":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from icstream.stages.annotate import annotate_image

    return annotate_image
