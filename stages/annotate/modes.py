"""The settings of modes of inference over a project, as in the Supervisely plugin."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

ALL = "__all__"
_SIDE = re.compile(r"(-?[0-9]{1,9})(%|px)", re.ASCII)


def _side(text: str) -> str:
    if not _SIDE.fullmatch(text):
        raise ValueError('must be whole pixels as "10px" or whole percent as "5%"')
    return text


def _bound(text: str) -> str:
    if _side(text).startswith("-"):
        raise ValueError("must not be negative, as it would reach outside the image")
    return text


def _names(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError as error:
        raise ValueError(f'must be "{ALL}" or a list of names') from error


Side = Annotated[str, AfterValidator(_side)]
Bound = Annotated[str, AfterValidator(_bound)]
Names = Annotated[Literal["__all__"] | list[str], WrapValidator(_names)]
Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """Base class of sections, which refuse unknown keys, and 1.0 and true as integers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class InferenceSettings(Part):
    """Inference device and score threshold."""

    gpu_device: Count = 0
    """CUDA device, which --device overrides; without CUDA the network runs on the CPU."""
    min_score_threshold: float = Field(0.0, ge=0, le=1)
    """Best score below which a pixel stays unlabeled."""


class Renamer(Part):
    """Selection and names of the saved classes."""

    save_classes: Names = "__all__"
    """Names of the classes to save, or "__all__"."""
    save_names: Names | None = None
    """Alternative name of `save_classes`, which it overrides."""
    add_suffix: str = ""
    """Suffix of saved names."""

    def saved_name(self, name: str) -> str | None:
        """Return the name under which a class is saved, or None if it is not."""
        chosen = self.save_classes if self.save_names is None else self.save_names
        return name + self.add_suffix if chosen == ALL or name in chosen else None


class Bounds(Part):
    """Margins that are cut off the sides of the image."""

    left: Bound = "0px"
    """Left margin in px, or in % of the image's width."""
    top: Bound = "0px"
    """Top margin in px, or in % of the image's height."""
    right: Bound = "0px"
    """Right margin, written as `left`."""
    bottom: Bound = "0px"
    """Bottom margin, written as `top`."""


class Padding(Part):
    """Margins that are added to the sides of a box; negative ones shrink it."""

    left: Side = "0px"
    """Left margin in px, or in % of the box's width."""
    top: Side = "0px"
    """Top margin in px, or in % of the box's height."""
    right: Side = "0px"
    """Right margin, written as `left`."""
    bottom: Side = "0px"
    """Bottom margin, written as `top`."""


class WindowSize(Part):
    """Size of each window."""

    width: Positive = 128
    """Width in pixels."""
    height: Positive = 128
    """Height in pixels."""


class MinOverlap(Part):
    """Least overlap of neighboring windows."""

    x: Count = 0
    """Horizontal overlap in pixels."""
    y: Count = 0
    """Vertical overlap in pixels."""


class NmsAfter(Part):
    """Suppression of overlapping boxes, for models that detect boxes."""

    enable: bool = False
    """Whether overlapping boxes are suppressed."""
    iou_threshold: float = Field(0.0, ge=0)
    """Smallest IoU of boxes that are suppressed."""
    confidence_tag_name: str = "confidence"
    """Name of the tag with the confidence of a box."""


class _Common(Part):
    model_classes: Renamer = Renamer()
    """Selection of saved classes."""
    model_tags: Renamer = Renamer()
    """No effect, as ICNet predicts no tags."""
    save_probabilities: bool = False
    """Whether to save the score of each saved class at each pixel, in customBigData."""
    existing_objects: Literal["keep", "replace", "merge"] = "keep"
    """Treatment of existing objects: keep keeps all, as the plugin does; replace removes all; merge
    keeps all and adds no objects that exist already."""
    existing_objects_iou: float = Field(0.9, gt=0, le=1)
    """Smallest IoU at which merge treats two objects of one class as the same."""
    background: Literal["plugin", "compete"] = "plugin"
    """Treatment of the background: compete allows unlabeled pixels in every mode, plugin does not
    in sliding_window."""


class FullImage(_Common):
    """Inference on the whole image."""

    name: Literal["full_image"] = "full_image"
    """Name of the mode."""


class Roi(_Common):
    """Inference on one part of the image."""

    name: Literal["roi"] = "roi"
    """Name of the mode."""
    bounds: Bounds = Bounds()
    """Margins that are cut off the image."""
    save: bool = False
    """Whether to save the part as a rectangle."""
    class_name: Name = "inference_roi"
    """Class of that rectangle."""


class Bboxes(_Common):
    """Inference on the bounding box of each existing object."""

    name: Literal["bboxes"] = "bboxes"
    """Name of the mode."""
    from_classes: Names = "__all__"
    """Classes of the objects whose boxes are segmented."""
    padding: Padding = Padding()
    """Margins that are added to the box."""
    save: bool = False
    """Whether to save each box as a rectangle."""
    add_suffix: str = "_input_bbox"
    """Suffix that is added to the object's class for the class of its rectangle."""


class _Windows(_Common):
    window: WindowSize = WindowSize()
    """Size of the windows."""
    min_overlap: MinOverlap = MinOverlap()
    """Least overlap of neighboring windows."""
    save: bool = False
    """Whether to save each window as a rectangle."""
    class_name: Name = "sliding_window"
    """Class of those rectangles."""

    @model_validator(mode="after")
    def _advances(self) -> "_Windows":
        for axis, side in (("x", "width"), ("y", "height")):
            overlap, size = getattr(self.min_overlap, axis), getattr(self.window, side)
            if overlap >= size:
                raise ValueError(
                    f"min_overlap.{axis} {overlap} must be less than window.{side} {size}"
                )
        return self


class SlidingWindow(_Windows):
    """Inference on sliding windows, whose scores are summed."""

    name: Literal["sliding_window"] = "sliding_window"
    """Name of the mode."""


class SlidingWindowDet(_Windows):
    """Inference on sliding windows for models that detect boxes, which ICNet does not."""

    name: Literal["sliding_window_det"] = "sliding_window_det"
    """Name of the mode."""
    nms_after: NmsAfter = NmsAfter()
    """No effect, as ICNet detects no boxes."""


Mode: TypeAlias = FullImage | Roi | Bboxes | SlidingWindow | SlidingWindowDet
"""The settings of any mode."""
MODES: Mapping[str, type[Mode]] = {
    "full_image": FullImage,
    "roi": Roi,
    "bboxes": Bboxes,
    "sliding_window": SlidingWindow,
    "sliding_window_det": SlidingWindowDet,
}
"""The settings of each mode, by its name."""


def pixels(text: str, side: int) -> int:
    """Return the pixels that a text such as "10px" or "-5%" means for a side in pixels.

    Percentages are truncated towards zero, as in the plugin.
    """
    match = _SIDE.fullmatch(text)
    assert match is not None
    value, unit = int(match[1]), match[2]
    if unit == "px":
        return value
    return (abs(value) * side // 100) * (-1 if value < 0 else 1)


def is_chosen(name: str, names: str | Sequence[str]) -> bool:
    """Return whether `names` is "__all__" or contains the name."""
    return names == ALL or name in names
