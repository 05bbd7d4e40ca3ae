"""Parsing of modes, with the plugin's own defaults."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from icstream.model import ConfigError
from icstream.stages.annotate.modes import MODES, Mode

_ALIASES = {"objects": "bboxes"}
"""The names of modes in configurations, by those in the plugin's window."""
PLUGIN_SUFFIX = "_icnet"
"""The plugin's default suffix of class names in mode full_image."""


class Resolved(NamedTuple):
    """A mode whose values are not checked yet."""

    schema: type[Mode]
    values: dict[str, Any]


def resolve_mode(values: Mapping[str, Any], *, suffix: str = PLUGIN_SUFFIX) -> Resolved:
    """Return the schema of the named mode, and the values merged with the plugin's defaults.

    Args:
        values: The section `mode`.
        suffix: The default suffix of classes in mode full_image.

    Raises:
        ConfigError: There is no such mode; the text lists the modes.
    """
    given = values.get("name")
    name = _ALIASES.get(given, given) if isinstance(given, str) else ""
    if name not in MODES:
        known = ", ".join([*MODES, *_ALIASES])
        raise ConfigError(f"mode.name: got {given!r}, allowed are {known}")
    merged = dict(values) | {"name": name}
    if name == "full_image":
        added = {"add_suffix": suffix}
        defaults = {"model_classes": dict(added), "model_tags": dict(added)}
        merged = _laid_over(defaults, merged)
    return Resolved(MODES[name], merged)


def parse_mode(values: Mapping[str, Any], *, suffix: str = PLUGIN_SUFFIX) -> Mode:
    """Return the mode described by JSON values, with the arguments of `resolve_mode`.

    Raises:
        ConfigError: Some values are invalid, with a clause for each.
    """
    schema, merged = resolve_mode(values, suffix=suffix)
    try:
        return schema.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("; ".join(map(_clause, error.errors(include_url=False)))) from error


def _clause(error: Mapping[str, Any]) -> str:
    path = ".".join(map(str, ("mode", *error["loc"])))
    if error["type"] == "extra_forbidden":
        return f"{path}: no such setting"
    got = "" if isinstance(error["input"], Mapping) else f", got {error['input']!r}"
    return f"{path}: {error['msg'].removeprefix('Value error, ')}{got}"


def _laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated by `over`, section by section and key by key."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _laid_over(old, value) if both else value  # type: ignore[arg-type]
    return merged
