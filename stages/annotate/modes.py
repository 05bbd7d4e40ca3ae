"""The modes of inference over a project, as the Supervisely plugin's configurations write them."""

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
        raise ValueError('whole pixels as "10px" or whole percent as "5%" are needed')
    return text


def _bound(text: str) -> str:
    if _side(text).startswith("-"):
        raise ValueError("negative bounds would reach out of the image")
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
    """Base of every section; unknown keys are refused, 1.0 and true are no integers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Renamer(Part):
    """Which classes of the model are saved, and under which names."""

    save_classes: Names = "__all__"
    """All, or those listed."""
    save_names: Names | None = None
    """The same; wins where both are given."""
    add_suffix: str = ""
    """Put behind each name."""

    def saved_name(self, name: str) -> str | None:
        """Gives the name under which a class is saved; None: it is not."""
        chosen = self.save_classes if self.save_names is None else self.save_names
        return name + self.add_suffix if chosen == ALL or name in chosen else None


class Bounds(Part):
    """What is cut off each side of the image."""

    left: Bound = "0px"
    """In px, or in % of the image's width."""
    top: Bound = "0px"
    """In px, or in % of the image's height."""
    right: Bound = "0px"
    """As left."""
    bottom: Bound = "0px"
    """As top."""


class Padding(Part):
    """By how much a box grows on each side; negative shrinks it."""

    left: Side = "0px"
    """In px, or in % of the box's width."""
    top: Side = "0px"
    """In px, or in % of the box's height."""
    right: Side = "0px"
    """As left."""
    bottom: Side = "0px"
    """As top."""


class WindowSize(Part):
    """Size of each window."""

    width: Positive = 128
    """In pixels."""
    height: Positive = 128
    """In pixels."""


class MinOverlap(Part):
    """By how much neighbouring windows overlap at least."""

    x: Count = 0
    """In pixels."""
    y: Count = 0
    """In pixels."""


class NmsAfter(Part):
    """What a model of boxes would do with boxes that overlap."""

    enable: bool = False
    """Whether it is done."""
    iou_threshold: float = Field(0.0, ge=0)
    """From which overlap on."""
    confidence_tag_name: str = "confidence"
    """The tag that says which box is better."""


class _Common(Part):
    model_classes: Renamer = Renamer()
    """Classes that are saved."""
    model_tags: Renamer = Renamer()
    """Without effect: ICNet gives no tags."""
    save_probabilities: bool = False
    """Keep the score of each saved class at each pixel, in customBigData."""
    existing_objects: Literal["keep", "replace", "merge"] = "keep"
    """keep: all of them, as the plugin; replace: none; merge: all, and no object of the model that
    is there already."""
    existing_objects_iou: float = Field(0.9, gt=0, le=1)
    """merge: from this overlap on two objects of one class are the same."""
    background: Literal["plugin", "compete"] = "plugin"
    """compete: pixels may stay unlabelled in every mode; plugin: in sliding_window they may not."""


class FullImage(_Common):
    """The whole image at once."""

    name: Literal["full_image"] = "full_image"
    """Of the mode."""


class Roi(_Common):
    """One part of the image."""

    name: Literal["roi"] = "roi"
    """Of the mode."""
    bounds: Bounds = Bounds()
    """Where the part begins and ends."""
    save: bool = False
    """Add the part as a rectangle."""
    class_name: Name = "inference_roi"
    """Class of that rectangle."""


class Bboxes(_Common):
    """The box around each object that is there already."""

    name: Literal["bboxes"] = "bboxes"
    """Of the mode."""
    from_classes: Names = "__all__"
    """Classes of the objects."""
    padding: Padding = Padding()
    """How much more than the box is looked at."""
    save: bool = False
    """Add each box as a rectangle."""
    add_suffix: str = "_input_bbox"
    """Put behind the object's class for the class of its rectangle."""


class _Windows(_Common):
    window: WindowSize = WindowSize()
    """Size of the windows."""
    min_overlap: MinOverlap = MinOverlap()
    """Of neighbours."""
    save: bool = False
    """Add each window as a rectangle."""
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
    """Windows over the whole image, whose scores are added up."""

    name: Literal["sliding_window"] = "sliding_window"
    """Of the mode."""


class SlidingWindowDet(_Windows):
    """For models that give boxes; ICNet gives none."""

    name: Literal["sliding_window_det"] = "sliding_window_det"
    """Of the mode."""
    nms_after: NmsAfter = NmsAfter()
    """Without effect."""


Mode: TypeAlias = FullImage | Roi | Bboxes | SlidingWindow | SlidingWindowDet
MODES: Mapping[str, type[Mode]] = {
    "full_image": FullImage,
    "roi": Roi,
    "bboxes": Bboxes,
    "sliding_window": SlidingWindow,
    "sliding_window_det": SlidingWindowDet,
}


def pixels(text: str, side: int) -> int:
    """Gives what a side value such as "10px" or "-5%" means for a side of so many pixels.

    Percent are cut towards zero, as the plugin does.
    """
    match = _SIDE.fullmatch(text)
    assert match is not None
    value, unit = int(match[1]), match[2]
    if unit == "px":
        return value
    return (abs(value) * side // 100) * (-1 if value < 0 else 1)


def is_chosen(name: str, names: str | Sequence[str]) -> bool:
    """True if `names` is all, or has the name."""
    return names == ALL or name in names
