"""The base of components' settings.

Settings are frozen dataclasses beside their component, so that workers start without pydantic.
pydantic uses them as schemas where files and options are checked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

DEFAULT_THREADS = 1
"""The default of CPU threads, which is fixed as it affects the last bits of masks."""


@dataclass(frozen=True, slots=True)
class OldKey:
    """A deprecated key, which is read with a warning and kept in reports."""

    names: tuple[str, ...]
    """The keys that replace it."""
    read: Callable[[Any], Mapping[str, Any]]
    """The function from a value of the old key to those of the new keys, which may raise
    `ValueError`."""
    write: Callable[[Mapping[str, Any]], Any]
    """The function from values of the new keys to that of the old key."""


def renamed(name: str) -> OldKey:
    """Return the entry of a key that was only renamed."""
    return OldKey((name,), lambda value: {name: value}, lambda values: values[name])


def rescaled(name: str, factor: int) -> OldKey:
    """Return the entry of a key whose unit was `factor` times larger."""

    def read(value: Any) -> Mapping[str, Any]:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return {name: round(value * factor) if is_number else value}

    def write(values: Mapping[str, Any]) -> float | None:
        return None if values[name] is None else values[name] / factor

    return OldKey((name,), read, write)


class SettingsBase:
    """Base class of settings that refuse unknown keys."""

    __slots__ = ()

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
    }
    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {}
    ADDED: ClassVar[frozenset[str]] = frozenset()
    """The settings added after 0.1.0, which reports contain only where they differ from their
    defaults."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        schema = handler(source)
        # Sections may be mappings even where numbers are strict.
        handler.resolve_ref_schema(schema)["strict"] = False
        return schema


class StrictSettingsBase(SettingsBase):
    """Base class of settings that refuse 1.0 and true as integers, and text as numbers."""

    __slots__ = ()

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        **SettingsBase.__pydantic_config__,
        "strict": True,
        "allow_inf_nan": False,
    }


class Limits:
    """Annotation with the limits of a setting, by pydantic's names (gt, ge, lt, le, min_length)."""

    def __init__(self, **limits: Any) -> None:
        self._limits = limits

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return handler(source) | self._limits


class ParsedBy:
    """Annotation with the function that parses a setting written as text."""

    def __init__(self, parse: Callable[[Any], Any], *, text: Mapping[str, str]) -> None:
        """Initialize it.

        Args:
            parse: The function that returns the value of a text, and any other value unchanged.
            text: The JSON schema of the text, in addition to its type.
        """
        self._parse = parse
        self._text = text

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._parse, handler(source))

    def __get_pydantic_json_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", **self._text}, handler(source)]}


class CheckedBy:
    """Annotation with the function that checks a setting and raises `ValueError`."""

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._check, handler(source))


class ReportedBy:
    """Annotation with the function that formats a setting for reports, such as without secrets."""

    def __init__(self, show: Callable[[Any], Any]) -> None:
        self._show = show

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        show = core_schema.plain_serializer_function_ser_schema(self._show, when_used="json")
        return {**handler(source), "serialization": show}
