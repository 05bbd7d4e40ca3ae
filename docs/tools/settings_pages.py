"""Pages on settings, from the schemas that check them."""

import dataclasses
import inspect
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markdown_text import code, join_choices, page, prose, table
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python

from icstream.model.size_text import Order
from icstream.pipeline.settings.schema_fields import (
    SchemaField,
    SchemaType,
    list_fields,
    old_keys_of,
)

_HEADER = ("setting", "type and range", "default", "meaning")
_SIZE: Order = "WIDTHxHEIGHT"
_REQUIRED = object()
_NAME = "name"
"""The setting that says which of several schemas a section has."""


class _Setting(NamedTuple):
    """A field with what pydantic says of it."""

    field: SchemaField
    schema: Mapping[str, Any]
    """Its JSON schema."""
    default: Any
    """As a JSON value; `_REQUIRED` if it has none."""

    @property
    def row(self) -> tuple[str, str, str, str]:
        meaning = prose(self.schema.get("description", ""))
        return code(self.field.key), _type(self.schema), _default(self), meaning


def build_settings_page(title: str, introduction: str, schema: SchemaType) -> str:
    """Return the page on a command's settings."""
    writer = _Writer(_descriptions(schema))
    return page(title, introduction, writer.write(schema, _Place()))


class _Place(NamedTuple):
    """Where a section stands."""

    prefix: str = ""
    """Path of its settings, up to and with the last dot."""
    variant: str = ""
    """Behind the path in headings, where several sections have the same path."""
    level: int = 2
    """Level of the headings of sections in it."""

    def heading(self, key: str) -> str:
        """Return the heading of a section in it."""
        return f"{'#' * min(self.level, 4)} {code(self.prefix + key)}{self.variant}"

    def inside(self, key: str, *, variant: str | None = None) -> "_Place":
        """Return the place of what is in a section in it."""
        variant = self.variant if variant is None else variant
        return _Place(f"{self.prefix}{key}.", variant, self.level + 1)


class _Writer:
    """Writes the sections of one page."""

    def __init__(self, descriptions: Mapping[SchemaType, set[str]]) -> None:
        """Take the descriptions of all fields that hold a section, by its schema."""
        self._descriptions = descriptions

    def write(self, schema: SchemaType, place: _Place) -> Iterator[str]:
        """Return the lines on a schema: its values, and then its sections."""
        yield from self._content(_settings(schema), place, old_keys=_old_keys(schema))

    def _content(
        self, settings: Sequence[_Setting], place: _Place, *, old_keys: Sequence[str] = ()
    ) -> Iterator[str]:
        values = [setting.row for setting in settings if not setting.field.sections]
        yield from table(_HEADER, values)
        yield from old_keys
        for setting in settings:
            if setting.field.sections:
                yield from self._section(setting, place)

    def _section(self, setting: _Setting, place: _Place) -> Iterator[str]:
        key, schemas = setting.field.key, setting.field.sections
        yield from (place.heading(key), "", self._introduction(setting), "")
        if len(schemas) == 1:
            yield from self.write(schemas[0], place.inside(key))
        else:
            yield from self._variants(setting, place)

    def _introduction(self, setting: _Setting) -> str:
        description, form = setting.schema.get("description", ""), _form(setting)
        if len(setting.field.sections) > 1:
            return prose(description)
        (schema,) = setting.field.sections
        texts = [inspect.getdoc(schema) or "", form]
        if form or len(self._descriptions[schema]) > 1:
            texts.insert(0, description)
        return " ".join(prose(text) for text in dict.fromkeys(texts) if text)

    def _variants(self, setting: _Setting, place: _Place) -> Iterator[str]:
        """Return the lines on a section of which the setting `name` says what else it may hold."""
        key, schemas = setting.field.key, setting.field.sections
        variants = {schema: _settings(schema) for schema in schemas}
        names = {
            schema: next(entry for entry in settings if entry.field.key == _NAME)
            for schema, settings in variants.items()
        }
        first, *others = variants.values()
        common = [entry for entry in first if all(entry in settings for settings in others)]
        named = names[schemas[0]]
        choices = {**named.schema, "enum": [entry.default for entry in names.values()]}
        name = named._replace(schema=choices, default=setting.default[_NAME])
        yield from self._content([name, *common], place.inside(key))
        for schema, settings in variants.items():
            choice = code(str(names[schema].default))
            own = [entry for entry in settings if entry not in (names[schema], *common)]
            yield from (f"{'#' * (place.level + 1)} {code(key)}: {choice}", "")
            yield from (prose(inspect.getdoc(schema) or ""), "")
            inside = place.inside(key, variant=f" of {choice}")
            yield from self._content(own, inside._replace(level=inside.level + 1))


def _descriptions(schema: SchemaType) -> dict[SchemaType, set[str]]:
    found: dict[SchemaType, set[str]] = {}
    for setting in _settings(schema):
        for section in setting.field.sections:
            found.setdefault(section, set()).add(setting.schema.get("description", ""))
            for inner, texts in _descriptions(section).items():
                found.setdefault(inner, set()).update(texts)
    return found


def _form(setting: _Setting) -> str:
    kinds = {alternative.get("type") for alternative in _alternatives(setting.schema)}
    if "array" in kinds:
        return "This is a list; each entry has these settings."
    if "null" in kinds:
        return "`null` by default; with `{}` each setting has the default that is stated here."
    return ""


def _old_keys(schema: SchemaType) -> list[str]:
    old = [
        f"{code(key)} (now {' and '.join(code(name) for name in entry.names)})"
        for key, entry in old_keys_of(schema).items()
    ]
    return [f"Old names, read with a warning: {', '.join(old)}.", ""] if old else []


def _settings(schema: SchemaType) -> list[_Setting]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of defaults that JSON has no form for
        properties = TypeAdapter(schema).json_schema()["properties"]
    defaults = _defaults(schema)
    return [
        _Setting(field, properties[field.key], defaults[field.name])
        for field in list_fields(schema)
    ]


def _defaults(schema: SchemaType) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if issubclass(schema, BaseModel):
        for name, info in schema.model_fields.items():
            default = info.get_default(call_default_factory=True, validated_data={})
            found[name] = _REQUIRED if info.is_required() else to_jsonable_python(default)
        return found
    for field in dataclasses.fields(schema):
        if field.default_factory is not dataclasses.MISSING:
            found[field.name] = to_jsonable_python(field.default_factory())
        elif field.default is not dataclasses.MISSING:
            found[field.name] = to_jsonable_python(field.default)
        else:
            found[field.name] = _REQUIRED
    return found


def _default(setting: _Setting) -> str:
    value = setting.default
    if value is _REQUIRED:
        return "required"
    if isinstance(value, str):
        return code(value or '""')
    if _has_size(setting.schema) or _has_size(setting.schema.get("items", {})):
        value = _as_sizes(value)
    text = json.dumps(value, ensure_ascii=False)
    return code(text.replace('"', "") if _has_size(setting.schema.get("items", {})) else text)


def _as_sizes(value: Any) -> Any:
    """Return (height, width) as it is written in settings, also in lists."""
    if isinstance(value, list) and all(isinstance(part, list) for part in value):
        return [_as_sizes(part) for part in value]
    return f"{value[1]}x{value[0]}" if isinstance(value, list) else value


def _has_size(schema: Mapping[str, Any]) -> bool:
    return any(alternative.get("format") == _SIZE for alternative in _alternatives(schema))


def _alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "anyOf" not in schema:
        yield schema
    for alternative in schema.get("anyOf", ()):
        yield from _alternatives(alternative)


def _type(schema: Mapping[str, Any]) -> str:
    alternatives = list(_alternatives(schema))
    if _has_size(schema):  # its two numbers in a list are the form of reports
        alternatives = [entry for entry in alternatives if entry.get("type") != "array"]
    types: list[str] = []
    literals: list[str] = []
    for alternative in alternatives:
        values = alternative.get("enum", [alternative["const"]] if "const" in alternative else [])
        if alternative.get("type") == "null":
            literals.append(code("null"))
        elif alternative.get("type") == "boolean":
            literals += [code("true"), code("false")]
        elif values:
            literals += [code(str(value)) for value in values]
        else:
            types.append(_one_type(alternative))
    choices = types + literals
    if len(choices) == 2 and "," in choices[0]:
        return ", or ".join(choices)
    return join_choices(choices)


_PLAIN = {"integer": "integer", "number": "number", "string": "text"}
_PLURAL = {"integer": "integers", "number": "numbers", "text": "texts", "path": "paths"}
_COUNTS = {2: "two", 3: "three"}


def _one_type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "anything")
    if kind == "array":
        return _array(schema)
    if kind == "object":
        return _by_name(schema)
    if schema.get("format") == _SIZE:
        return _SIZE
    text = "path" if schema.get("format") == "path" else _PLAIN.get(kind, kind)
    return text + _behind(_limits(schema))


def _by_name(schema: Mapping[str, Any]) -> str:
    values = schema.get("additionalProperties", True)
    if not isinstance(values, Mapping) or values.get("type") not in _PLAIN:
        return "settings by name"
    limits = _behind(_limits(values))
    return f"{_PLURAL[_PLAIN[values['type']]]}{limits}{',' if limits else ''} by name"


def _array(schema: Mapping[str, Any]) -> str:
    parts = schema.get("prefixItems")
    if parts:
        limits = _limits(parts[0])
        return f"{_COUNTS[len(parts)]} {_PLURAL[_PLAIN[parts[0]['type']]]}" + _behind(limits)
    items = schema.get("items", {})
    plain = _one_type({"type": items.get("type")}) if items.get("type") in _PLAIN else _type(items)
    text = f"list of {_PLURAL.get(plain, plain)}" + _behind(_limits(items))
    return text + (", at least one" if schema.get("minItems") else "")


def _behind(limits: str) -> str:
    if not limits:
        return ""
    return f" {limits}" if limits.startswith(("above", "below")) else f", {limits}"


def _limits(schema: Mapping[str, Any]) -> str:
    if schema.get("minLength"):
        return "not empty"
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if least is not None:
        if most is not None:
            return f"{_number(least)} to {_number(most)}"
        return f"{_number(least)} " + (f"to below {_number(below)}" if below else "or more")
    bounds = (("above", above), ("below", below), ("at most", most))
    return ", ".join(f"{word} {_number(bound)}" for word, bound in bounds if bound is not None)


def _number(value: float) -> str:
    if isinstance(value, int) and value >= 2**40 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    return f"{value:,}"
