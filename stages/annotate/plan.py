"""What a mode makes of a project's classes and a model's: settled once for all images."""

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
"""The classes of a model without the background, each as meta.json has it ("title", "color"), or as
a pair of name and color, which is (r, g, b) or "#RRGGBB"."""


class SavedClass(NamedTuple):
    """A class of the model."""

    name: str
    """Name that the model has for it."""
    title: str | None
    """Name under which it is saved; None where it is not."""
    color: str
    """Color as "#RRGGBB"."""


@dataclass(frozen=True, slots=True, eq=False)
class AnnotationPlan:
    """A mode, applied to the classes of one project and one model."""

    mode: Mode
    """How images are looked at."""
    classes: tuple[SavedClass, ...]
    """The model's classes, in the order of the channels from 1 on."""
    meta: dict[str, Any]
    """Content of meta.json of the new project."""
    shapes: Mapping[str, str]
    """Shape of each class of the old project, by name."""
    threshold: float
    """Least winning score of a pixel that does not become background."""

    def box_title(self, title: str = "") -> str | None:
        """Return the class of saved boxes or windows (in bboxes: of a class); None: not saved."""
        mode = self.mode
        if isinstance(mode, FullImage) or not mode.save:
            return None
        return title + mode.add_suffix if isinstance(mode, Bboxes) else mode.class_name

    def merge_order(self) -> list[int]:
        """Return the channels that may win a pixel in merged windows; ties go to the first.

        The plugin left ties to the order of a Python set, which changes from run to run. Short
        names before long ones, and then the alphabet, is an order that stays, and the one in which
        the reference results happen to have been made.
        """
        channels = range(1, len(self.classes) + 1)
        named = sorted(channels, key=lambda k: _rank(self.classes[k - 1].name))
        return [0, *named] if self.mode.background == "compete" else named


def make_plan(
    mode: Mode, meta: Mapping[str, Any], classes: ModelClasses, *, threshold: float = 0.0
) -> AnnotationPlan:
    """Return what is saved under which name.

    Args:
        mode: how images are looked at.
        meta: content of the project's meta.json; it stays as it is.
        classes: of the model, without the background, in the order of their channels.
        threshold: least score of a pixel that gets a class.

    Raises:
        ConfigError: meta or classes cannot be read, or a name would be there twice.
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
            raise ConfigError(f"{key}: there would be two classes {title!r}; choose another one")
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
            f"classes: got {entry!r}, needed are a name and a color, as meta.json has them"
        ) from error
