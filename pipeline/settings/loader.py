"""Reading of settings files and presets, and validation that reports all errors at once."""

import difflib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from icstream.model.errors import ConfigError
from icstream.model.settings_base import OldKey, SettingsBase
from icstream.pipeline.settings.bounded_text import (
    MAX_BYTES,
    TooLargeError,
    parse_json,
    parse_yaml,
)
from icstream.pipeline.settings.schema_fields import SchemaType, present_keys

Kind = Literal["run", "train", "annotate", "serve"]
"""The command that a configuration is for."""
_PREFIXES: Mapping[Kind, str] = {
    "train": "train_",
    "annotate": "annotate_",
    "serve": "serve_",
}
"""Prefixes of the preset names of each kind; presets without one are for `run`."""

_MAX_CLAUSES = 100
"""Most errors that are listed; the others are only counted."""
_MAX_SHOWN = 200
"""Most characters of a value that an error shows."""


class Settings(BaseModel):
    """Base class of every group of settings: unknown keys are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {}
    ADDED: ClassVar[frozenset[str]] = frozenset()


Schema = TypeVar("Schema", bound=Settings | SettingsBase)


def preset_names(kind: Kind = "run") -> list[str]:
    """Return the names of the presets for a command."""
    return [name for name in _all_presets() if _kind_of(name) == kind]


def read_settings(file: str, *, kind: Kind) -> dict[str, Any]:
    """Return the values of a preset or a file; a name that ends in .json is JSON, others YAML."""
    data = _read_bytes(file, kind)
    as_json = file.lower().endswith(".json")
    try:
        text = data.decode("utf-8-sig")
        values = parse_json(text) if as_json else parse_yaml(text)
    except TooLargeError as error:
        raise ConfigError(f"{file}: {error}") from error
    except (yaml.YAMLError, ValueError) as error:
        form = "JSON" if as_json else "YAML"
        raise ConfigError(f"{file}{_line(error)}: not valid {form}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        got = type(values).__name__
        raise ConfigError(f"{file}: the top level must be a mapping of settings, got a {got}")
    return values


def check(
    schema: type[Schema],
    values: Mapping[str, Any],
    *,
    origin: str | None,
    errors: Sequence[str] = (),
    refusals: Mapping[str, str] | None = None,
) -> Schema:
    """Validate values and return them as settings, with defaults.

    Args:
        schema: the schema.
        values: the values as written.
        origin: the file that the error names.
        errors: error clauses that the caller has found already.
        refusals: messages for some unknown keys, instead of a suggested key.

    Raises:
        ConfigError: some settings are invalid; the error has a clause with the path of each.
    """
    before = f"{origin}: " if origin else ""
    try:
        settings = TypeAdapter(schema).validate_python(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        clauses = [_clause(entry, schema, refusals or {}) for entry in found[:_MAX_CLAUSES]]
        clauses += [f"and {len(found) - len(clauses)} more"] * (len(found) > _MAX_CLAUSES)
        raise ConfigError(before + "; ".join([*errors, *clauses])) from error
    if errors:
        raise ConfigError(before + "; ".join(errors))
    return settings


def _all_presets() -> list[str]:
    entries = (Path(entry.name) for entry in files("icstream.configs").iterdir())
    return sorted(entry.stem for entry in entries if entry.suffix == ".yaml")


def _kind_of(preset: str) -> Kind:
    matching = (kind for kind, prefix in _PREFIXES.items() if preset.startswith(prefix))
    return next(matching, "run")


def _read_bytes(file: str, kind: Kind) -> bytes:
    names = ", ".join(preset_names(kind))
    if file not in _all_presets():
        try:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConfigError(
                f"{file}: cannot be read ({error.strerror}); presets are {names}"
            ) from error
        if len(data) > MAX_BYTES:
            raise ConfigError(
                f"{file}: larger than {MAX_BYTES >> 20} MiB, the limit of settings files"
            )
        return data
    if _kind_of(file) != kind:
        raise ConfigError(
            f"{file}: a preset for icstream {_kind_of(file)}; presets for {kind} are {names}"
        )
    return (files("icstream.configs") / f"{file}.yaml").read_bytes()


def _line(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f", line {error.lineno}"
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _clause(error: Mapping[str, Any], schema: SchemaType, refusals: Mapping[str, str]) -> str:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        if path in refusals:
            return f"{path}: {refusals[path]}"
        keys = present_keys(schema)
        near = [key for key in keys.values() if key.split(".")[-1] == error["loc"][-1]]
        near = near or difflib.get_close_matches(path, keys, n=1, cutoff=0.5)
        hint = f"; did you mean {keys[near[0]]}?" if near else ""
        return f"{path}: no such setting{hint}"
    if error["type"] in ("model_type", "dataclass_type"):
        message = "must be a section with settings"
    else:
        message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" and isinstance(error["input"], Mapping):
        return f"{path}: {message}"  # the message names the contradicting values
    got = f", got {_shortened(repr(error['input']))}"
    if "://" in got or path.endswith("token") or "ffmpeg" in path.split("."):
        got = ""  # it may contain a password
    return f"{path}: {message[:1].lower()}{message[1:]}{got}"
