"""Keys of earlier versions: replaced with a warning when read, and kept in reports."""

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from icstream.model.settings_base import OldKey
from icstream.pipeline.settings.schema_fields import (
    SchemaType,
    added_defaults,
    list_fields,
    old_keys_of,
)

log = logging.getLogger(__name__)


class OldKeys:
    """A translator of old keys in one configuration, which warns of each key once."""

    def __init__(self, schema: SchemaType) -> None:
        self._schema = schema
        self._warned: set[str] = set()
        self.errors: list[str] = []
        """Error clauses for old keys whose values cannot be converted."""

    def replaced(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values with every old key replaced."""
        return self._replaced(self._schema, values, "")

    def _replaced(self, schema: SchemaType, values: Mapping[str, Any], path: str) -> dict[str, Any]:
        old_keys = old_keys_of(schema)
        found: dict[str, Any] = {}
        for key, value in values.items():
            if key in old_keys:
                found |= self._read(key, value, values, old=old_keys[key], path=path)
            else:
                found[key] = value
        for field in list_fields(schema):
            for section in field.sections:
                if field.key in found:
                    inner = f"{path}{field.key}"
                    found[field.key] = self._in_section(section, found[field.key], inner)
        return found

    def _in_section(self, section: SchemaType, value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return self._replaced(section, value, f"{path}.")
        if isinstance(value, (list, tuple)):
            return [self._in_section(section, item, path) for item in value]
        return value

    def _read(
        self, key: str, value: Any, others: Mapping[str, Any], *, old: OldKey, path: str
    ) -> Mapping[str, Any]:
        names = " and ".join(path + name for name in old.names)
        if any(name in others for name in old.names):
            self.errors.append(
                f"{path}{key}: is now called {names}, which is also given; keep only {names}"
            )
            return {}
        if path + key not in self._warned:
            self._warned.add(path + key)
            log.warning("%s is now called %s", path + key, names)
        try:
            return old.read(value)
        except ValueError as error:
            self.errors.append(f"{path}{key}: {error}, got {value!r}")
            return {}


def report_settings(settings: BaseModel, *, by_alias: bool = False) -> dict[str, Any]:
    """Return settings as JSON values, under the keys that reports have always used."""
    values = settings.model_dump(mode="json", by_alias=by_alias)
    return _reported(type(settings), values)


def _reported(schema: SchemaType, values: Mapping[str, Any]) -> dict[str, Any]:
    sections = {}
    for field in list_fields(schema):
        for section in field.sections:
            sections[field.name] = sections[field.key] = section
    old_keys = old_keys_of(schema)
    replaced = {old.names[0]: key for key, old in old_keys.items()}
    dropped = {name for old in old_keys.values() for name in old.names[1:]}
    defaults = added_defaults(schema)
    found = {}
    for name, value in values.items():
        if name in defaults and value == defaults[name]:
            continue
        if name in replaced:
            key = replaced[name]
            written = old_keys[key].write(values)
            found[key] = _reported_section(sections.get(name), written)
        elif name not in dropped:
            found[name] = _reported_section(sections.get(name), value)
    return found


def _reported_section(section: SchemaType | None, value: Any) -> Any:
    if section is None:
        return value
    if isinstance(value, list):
        return [_reported_section(section, item) for item in value]
    return _reported(section, value) if isinstance(value, dict) else value
