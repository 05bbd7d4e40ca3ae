"""Inspection of schemas, both pydantic models and dataclasses beside their components."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple, TypeAlias, get_args, get_type_hints

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from icstream.model.settings_base import OldKey, SettingsBase

SchemaType: TypeAlias = type[Any]
"""A subclass of `BaseModel` or `SettingsBase`."""


class SchemaField(NamedTuple):
    """One setting."""

    name: str
    """Name in Python."""
    key: str
    """Key in files."""
    sections: tuple[SchemaType, ...]
    """Schemas of the section or sections that the setting holds; empty for a value."""


def list_fields(schema: SchemaType) -> list[SchemaField]:
    """Return the settings of a schema, in order."""
    if issubclass(schema, BaseModel):
        return [
            SchemaField(name, field.alias or name, tuple(_sections(field.annotation)))
            for name, field in schema.model_fields.items()
        ]
    hints = get_type_hints(schema)
    key_of = schema.__pydantic_config__.get("alias_generator", str)
    return [
        SchemaField(field.name, key_of(field.name), tuple(_sections(hints[field.name])))
        for field in fields(schema)
    ]


def old_keys_of(schema: SchemaType) -> Mapping[str, OldKey]:
    """Return the keys that the schema had in earlier versions."""
    found: Mapping[str, OldKey] = getattr(schema, "OLD_KEYS", {})
    return found


def added_defaults(schema: SchemaType) -> Mapping[str, Any]:
    """Return the defaults, as JSON values, of settings that were added after 0.1.0, by name."""
    added: frozenset[str] = getattr(schema, "ADDED", frozenset())
    if issubclass(schema, BaseModel):
        defaults = {name: schema.model_fields[name].default for name in added}
    else:
        defaults = {field.name: field.default for field in fields(schema) if field.name in added}
    return {name: to_jsonable_python(default) for name, default in defaults.items()}


def present_keys(schema: SchemaType, prefix: str = "") -> dict[str, str]:
    """Return the present dotted names of all settings, by their present and old names."""
    keys = {prefix + key: prefix + old.names[0] for key, old in old_keys_of(schema).items()}
    for field in list_fields(schema):
        keys[prefix + field.key] = prefix + field.key
        for section in field.sections:
            keys |= present_keys(section, f"{prefix}{field.key}.")
    return keys


def known_keys(schema: SchemaType, prefix: str = "") -> list[str]:
    """Return the dotted names of all settings, sections included."""
    return list(dict.fromkeys(present_keys(schema, prefix).values()))


def _sections(annotation: Any) -> Iterator[SchemaType]:
    if isinstance(annotation, type) and issubclass(annotation, (BaseModel, SettingsBase)):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)
