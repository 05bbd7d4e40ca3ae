"""The classes of a project: names, shapes, colors and ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from icstream.model import ConfigError, LabelSet
from icstream.model.labels import VOID, Color, unlabeled_name
from icstream.stages.input_files import parse_json

_UNLABELED_COLOR = (0, 0, 0)

ProjectType: TypeAlias = Literal["images", "videos"]
"""The supported types of projects."""


@dataclass(frozen=True, slots=True, eq=False)
class ProjectClasses:
    """The classes of a project with their ids and shapes."""

    labels: LabelSet
    """The names and colors; id 0 is for pixels without an object, and the named classes follow."""
    ids: Mapping[str, int]
    """The id of each class by name; the neutral class has `VOID`."""
    shapes: Mapping[str, str]
    """The shape of each class by name, as in meta.json."""


class ClassEntry(Struct):
    """A class of meta.json, as needed for annotation."""

    title: str
    """The name of the class."""
    shape: str
    """The type of its objects' geometry, or "any"."""
    color: str
    """The color as "#RRGGBB"."""


class _Entries(Struct):
    classes: list[ClassEntry]


class _Class(Struct):
    title: Annotated[str, Meta(min_length=1)]
    shape: str
    color: Annotated[str, Meta(pattern="^#[0-9A-Fa-f]{6}$")]

    def rgb(self) -> Color:
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue


class _ProjectMeta(Struct, rename="camel"):
    classes: list[_Class]
    project_type: str | None = None


def read_classes(
    data: bytes, *, neutral: str, class_ids: Mapping[str, int] | None
) -> ProjectClasses:
    """Return the classes in the content of meta.json, numbered.

    Raises:
        SampleError: The content is not JSON, or a field is missing or of another type.
        ConfigError: It is not an image project, or its classes cannot be numbered as given.
    """
    meta = parse_json(data, _ProjectMeta)
    if meta.project_type not in (None, "", "images"):
        raise ConfigError(f"a project of {meta.project_type}; only image projects can be read")
    titles = [entry.title for entry in meta.classes]
    repeated = sorted({title for title in titles if titles.count(title) > 1})
    if repeated:
        raise ConfigError(f"class {repeated[0]!r} is listed twice")
    colors = {entry.title: entry.rgb() for entry in meta.classes if entry.title != neutral}
    if not colors:
        raise ConfigError(f"no classes but {neutral!r}; at least one is needed")
    names = _numbered(sorted(colors), class_ids)
    labels = LabelSet(names, (_UNLABELED_COLOR, *(colors[name] for name in names[1:])))
    ids = {name: k for k, name in enumerate(names) if k > 0} | {neutral: VOID}
    return ProjectClasses(labels, ids, {entry.title: entry.shape for entry in meta.classes})


def _numbered(names: list[str], class_ids: Mapping[str, int] | None) -> tuple[str, ...]:
    """Return all names in the order of their ids, including one for id 0."""
    if class_ids is None:
        return (unlabeled_name(names), *names)
    given = {name: k for name, k in class_ids.items() if k != 0 or name in names}
    for name in sorted({*names, *given}):
        if name not in given:
            raise ConfigError(f"class {name!r} of the project is not among the given ones")
        if name not in names:
            raise ConfigError(f"the project has no class {name!r}, which is among the given ones")
    if sorted(given.values()) != list(range(1, len(names) + 1)):
        raise ConfigError(f"ids of classes must be 1 to {len(names)}, each once; got {given}")
    in_front = next((name for name, k in class_ids.items() if k == 0), unlabeled_name(names))
    return (in_front, *sorted(given, key=given.__getitem__))


def list_classes(meta: Mapping[str, Any]) -> list[ClassEntry]:
    """Return the classes in the values of meta.json.

    Raises:
        ConfigError: They are missing, or a field is of another type.
    """
    try:
        return msgspec.convert(meta, _Entries).classes
    except msgspec.ValidationError as error:
        raise ConfigError(f"meta.json: {error}") from error


def class_values(title: str, color: str, shape: str) -> dict[str, Any]:
    """Return the entry of a class in meta.json, with the color as "#RRGGBB"."""
    return {
        "title": title,
        "description": "",
        "shape": shape,
        "color": color,
        "geometry_config": {},
        "hotkey": "",
    }


def color_code(color: Color) -> str:
    """Return red, green and blue as "#RRGGBB"."""
    return "#{:02X}{:02X}{:02X}".format(*color)


def project_meta(labels: LabelSet, *, project_type: ProjectType) -> dict[str, Any]:
    """Return the content of meta.json with each class as a bitmap in its color."""
    classes = [
        class_values(name, color_code(color), "bitmap")
        for name, color in zip(labels.names, labels.colors, strict=True)
    ]
    return _meta(classes, project_type)


def empty_meta(project_type: ProjectType) -> dict[str, Any]:
    """Return the content of meta.json of a project without classes."""
    return _meta([], project_type)


def project_type_of(meta: Mapping[str, Any]) -> Any:
    """Return the type of a project, which is images by default."""
    return meta.get("projectType") or "images"


def _meta(classes: list[dict[str, Any]], project_type: ProjectType) -> dict[str, Any]:
    return {"classes": classes, "tags": [], "projectType": project_type}
