"""The modes of inference over a project, as in configurations of the Supervisely plugin."""

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


class InferenceSettings(Part):
    """Inference device and score threshold."""

    gpu_device: Count = 0
    """CUDA device, over which --device wins; without CUDA the network runs on the CPU."""
    min_score_threshold: float = Field(0.0, ge=0, le=1)
    """A pixel whose best class has a lower score stays unlabeled."""


class Renamer(Part):
    """Which classes of the model are saved, and under which names."""

    save_classes: Names = "__all__"
    """Names of the classes that are saved, or all."""
    save_names: Names | None = None
    """The same as `save_classes`, over which it wins."""
    add_suffix: str = ""
    """Suffix of each saved name."""

    def saved_name(self, name: str) -> str | None:
        """Return the name under which a class is saved, or None if it is not."""
        chosen = self.save_classes if self.save_names is None else self.save_names
        return name + self.add_suffix if chosen == ALL or name in chosen else None


class Bounds(Part):
    """Margins that are cut off each side of the image."""

    left: Bound = "0px"
    """Left margin in px, or in % of the image's width."""
    top: Bound = "0px"
    """Top margin in px, or in % of the image's height."""
    right: Bound = "0px"
    """Right margin, written as `left`."""
    bottom: Bound = "0px"
    """Bottom margin, written as `top`."""


class Padding(Part):
    """Margins that are added to each side of a box; negative ones shrink it."""

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
    """Suppression of overlapping boxes, for models that give boxes."""

    enable: bool = False
    """Whether overlapping boxes are suppressed."""
    iou_threshold: float = Field(0.0, ge=0)
    """Least overlap of boxes that are suppressed."""
    confidence_tag_name: str = "confidence"
    """Tag with the confidence of a box."""


class _Common(Part):
    model_classes: Renamer = Renamer()
    """Classes that are saved."""
    model_tags: Renamer = Renamer()
    """No effect, as ICNet gives no tags."""
    save_probabilities: bool = False
    """Whether the score of each saved class at each pixel is kept, in customBigData."""
    existing_objects: Literal["keep", "replace", "merge"] = "keep"
    """keep keeps all, as the plugin does; replace keeps none; merge keeps all and adds no object of
    the model that is there already."""
    existing_objects_iou: float = Field(0.9, gt=0, le=1)
    """Least overlap by which merge takes two objects of one class for the same."""
    background: Literal["plugin", "compete"] = "plugin"
    """compete lets pixels stay unlabeled in every mode; plugin does not in sliding_window."""


class FullImage(_Common):
    """The whole image at once."""

    name: Literal["full_image"] = "full_image"
    """Name of the mode."""


class Roi(_Common):
    """One part of the image."""

    name: Literal["roi"] = "roi"
    """Name of the mode."""
    bounds: Bounds = Bounds()
    """Margins that are cut off the image."""
    save: bool = False
    """Whether the part is added as a rectangle."""
    class_name: Name = "inference_roi"
    """Class of that rectangle."""


class Bboxes(_Common):
    """The box around each object that is there already."""

    name: Literal["bboxes"] = "bboxes"
    """Name of the mode."""
    from_classes: Names = "__all__"
    """Classes of the objects whose boxes are segmented."""
    padding: Padding = Padding()
    """Margins that are added to the box."""
    save: bool = False
    """Whether each box is added as a rectangle."""
    add_suffix: str = "_input_bbox"
    """Suffix that makes the class of the rectangle from the object's class."""


class _Windows(_Common):
    window: WindowSize = WindowSize()
    """Size of the windows."""
    min_overlap: MinOverlap = MinOverlap()
    """Least overlap of neighboring windows."""
    save: bool = False
    """Whether each window is added as a rectangle."""
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
    """Name of the mode."""


class SlidingWindowDet(_Windows):
    """Windows for models that give boxes; ICNet gives none."""

    name: Literal["sliding_window_det"] = "sliding_window_det"
    """Name of the mode."""
    nms_after: NmsAfter = NmsAfter()
    """No effect, as ICNet gives no boxes."""


Mode: TypeAlias = FullImage | Roi | Bboxes | SlidingWindow | SlidingWindowDet
MODES: Mapping[str, type[Mode]] = {
    "full_image": FullImage,
    "roi": Roi,
    "bboxes": Bboxes,
    "sliding_window": SlidingWindow,
    "sliding_window_det": SlidingWindowDet,
}


def pixels(text: str, side: int) -> int:
    """Return the pixels that a text such as "10px" or "-5%" means on a side of this many pixels.

    Percent are cut towards zero, as the plugin does.
    """
    match = _SIDE.fullmatch(text)
    assert match is not None
    value, unit = int(match[1]), match[2]
    if unit == "px":
        return value
    return (abs(value) * side // 100) * (-1 if value < 0 else 1)


def is_chosen(name: str, names: str | Sequence[str]) -> bool:
    """Return whether `names` is all, or has the name."""
    return names == ALL or name in names
