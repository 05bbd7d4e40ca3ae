"""The mapping of a model's classes to a project's, determined once for all images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from icstream.model import ConfigError
from icstream.stages.annotate.modes import Bboxes, FullImage, Mode, is_chosen
from icstream.stages.supervisely.classes import (
    ClassEntry,
    class_values,
    color_code,
    list_classes,
)
from icstream.stages.supervisely.keys import stable_color

ModelClasses: TypeAlias = Sequence[Mapping[str, Any] | tuple[str, Sequence[int] | str]]
"""The classes of a model without the background, each as in meta.json ("title", "color"), or as a
pair of name and color, which is (r, g, b) or "#RRGGBB"."""


class SavedClass(NamedTuple):
    """A class of the model."""

    name: str
    """The model's name of the class."""
    title: str | None
    """The saved name; None if the class is not saved."""
    color: str
    """The color as "#RRGGBB"."""


@dataclass(frozen=True, slots=True, eq=False)
class AnnotationPlan:
    """A mode with the classes of one project and one model."""

    mode: Mode
    """The mode."""
    classes: tuple[SavedClass, ...]
    """The model's classes, in the order of the channels from 1."""
    meta: dict[str, Any]
    """The content of meta.json of the new project."""
    shapes: Mapping[str, str]
    """The shape of each class of the old project, by name."""
    threshold: float
    """The best score below which a pixel becomes background."""

    def box_title(self, title: str = "") -> str | None:
        """Return the class of saved boxes or windows (in bboxes for a class), or None."""
        mode = self.mode
        if isinstance(mode, FullImage) or not mode.save:
            return None
        return title + mode.add_suffix if isinstance(mode, Bboxes) else mode.class_name

    def merge_order(self) -> list[int]:
        """Return the channels that may win a pixel in merged windows; ties go to the first.

        In the plugin ties follow the order of a Python set, which changes between runs. Short names
        before long ones, and then alphabetically, is a fixed order that the reference results
        happen to have.
        """
        channels = range(1, len(self.classes) + 1)
        named = sorted(channels, key=lambda k: _rank(self.classes[k - 1].name))
        return [0, *named] if self.mode.background == "compete" else named


def make_plan(
    mode: Mode, meta: Mapping[str, Any], classes: ModelClasses, *, threshold: float = 0.0
) -> AnnotationPlan:
    """Return the plan for a mode, a project and a model.

    Args:
        mode: The mode.
        meta: The content of the project's meta.json, which is not modified.
        classes: The classes of the model in the order of channels, without the background.
        threshold: The best score below which a pixel becomes background.

    Raises:
        ConfigError: The meta or the classes cannot be read, or a name would be duplicated.
    """
    there = list_classes(meta)
    saved = tuple(
        SavedClass(name, mode.model_classes.saved_name(name), color)
        for name, color in map(_name_and_color, classes)
    )
    known = {entry.title for entry in there}
    added = [class_values(c.title, c.color, "bitmap") for c in saved if c.title is not None]
    _refuse_repeated(known, added, "mode.model_classes.add_suffix")
    known |= {entry["title"] for entry in added}
    boxes = _box_classes(mode, there)
    key = "add_suffix" if isinstance(mode, Bboxes) else "class_name"
    _refuse_repeated(known, boxes, f"mode.{key}")
    return AnnotationPlan(
        mode,
        saved,
        {**meta, "classes": [*meta["classes"], *added, *boxes]},
        {entry.title: entry.shape for entry in there},
        threshold,
    )


def _rank(name: str) -> tuple[int, str]:
    return len(name), name


def _box_classes(mode: Mode, there: Iterable[ClassEntry]) -> list[dict[str, Any]]:
    if isinstance(mode, FullImage) or not mode.save:
        return []
    if not isinstance(mode, Bboxes):
        return [class_values(mode.class_name, stable_color(mode.class_name), "rectangle")]
    return [
        class_values(entry.title + mode.add_suffix, entry.color, "rectangle")
        for entry in there
        if is_chosen(entry.title, mode.from_classes)
    ]


def _refuse_repeated(known: set[str], added: list[dict[str, Any]], key: str) -> None:
    seen = set(known)
    for title in (entry["title"] for entry in added):
        if title in seen:
            raise ConfigError(f"{key}: there would be two classes {title!r}; choose another name")
        seen.add(title)


def _name_and_color(entry: Mapping[str, Any] | tuple[str, Sequence[int] | str]) -> tuple[str, str]:
    try:
        name, color = (
            (entry["title"], entry["color"]) if isinstance(entry, Mapping) else tuple(entry)
        )
        if isinstance(color, str):
            return str(name), color
        red, green, blue = color
        return str(name), color_code((red, green, blue))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"classes: got {entry!r}, needed are a name and a color, as in meta.json"
        ) from error
