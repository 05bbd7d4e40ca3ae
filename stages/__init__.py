"""The stages of the pipeline: decode, preprocess, segment and encode, and the items between them.

`annotate_image` is imported on first use, so that the stages of a stream start without its
dependencies.
"""

from typing import TYPE_CHECKING, Any

from icstream.model.renamed import warn_renamed
from icstream.stages import items
from icstream.stages.accounting import FrameAccounting
from icstream.stages.items import (
    End,
    FormatChange,
    Frame,
    FrameMeta,
    Gap,
    Item,
    PreparedFrame,
    ScoredFrame,
    SegmentedFrame,
)
from icstream.stages.stage import FrameStage

if TYPE_CHECKING:
    from icstream.stages.annotate import annotate_image

__all__ = [
    "End",
    "FormatChange",
    "Frame",
    "FrameAccounting",
    "FrameMeta",
    "FrameStage",
    "Gap",
    "Item",
    "PreparedFrame",
    "ScoredFrame",
    "SegmentedFrame",
    "annotate_image",
]

_RENAMED: dict[str, tuple[str, Any]] = {
    "Books": ("FrameAccounting", FrameAccounting),
    "ClassIds": ("SegmentedFrame.class_ids", items.ClassIds),
    "Stage": ("FrameStage", FrameStage),
}
"""The deprecated names, each with the new name and the object it stands for."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        new, value = _RENAMED[name]
        warn_renamed(f"icstream.stages.{name}", f"icstream.stages.{new}")
        return value
    if name != "annotate_image":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from icstream.stages.annotate import annotate_image

    return annotate_image
