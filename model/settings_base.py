"""What the settings of components have in common.

They stand beside their component as frozen dataclasses, so that a worker that is given them starts
without pydantic. pydantic takes them as schemas where files and options are checked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

DEFAULT_THREADS = 1
"""CPU threads of inference: they fix the last bits of masks, so no default follows the machine."""


@dataclass(frozen=True, slots=True)
class OldKey:
    """A key of an earlier version, which is read with a warning and kept in reports."""

    names: tuple[str, ...]
    """The keys that replace it."""
    read: Callable[[Any], Mapping[str, Any]]
    """Return the values of the new keys for a value of the old one, or raise `ValueError`."""
    write: Callable[[Mapping[str, Any]], Any]
    """Return the value of the old key for values of the new ones."""


def renamed(name: str) -> OldKey:
    """Return the entry of a key that has only another name now."""
    return OldKey((name,), lambda value: {name: value}, lambda values: values[name])


def rescaled(name: str, factor: int) -> OldKey:
    """Return the entry of a key whose values were `factor` times smaller, in a larger unit."""

    def read(value: Any) -> Mapping[str, Any]:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return {name: round(value * factor) if is_number else value}

    def write(values: Mapping[str, Any]) -> float | None:
        return None if values[name] is None else values[name] / factor

    return OldKey((name,), read, write)


class SettingsBase:
    """Base of settings: keys that are not known are refused."""

    __slots__ = ()

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
    }
    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {}
    ADDED: ClassVar[frozenset[str]] = frozenset()
    """Settings that came after 0.1.0: reports have them where they differ from their defaults."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        schema = handler(source)
        # Where numbers are strict, a section may still be written as a mapping.
        handler.resolve_ref_schema(schema)["strict"] = False
        return schema


class StrictSettingsBase(SettingsBase):
    """Base of settings where 1.0 and true are no integers, and texts no numbers."""

    __slots__ = ()

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        **SettingsBase.__pydantic_config__,
        "strict": True,
        "allow_inf_nan": False,
    }


class Limits:
    """Annotation of a setting: its limits, by pydantic's names (gt, ge, lt, le, min_length)."""

    def __init__(self, **limits: Any) -> None:
        self._limits = limits

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return handler(source) | self._limits


class ParsedBy:
    """Annotation of a setting that may be written as a text, which a function reads."""

    def __init__(self, parse: Callable[[Any], Any], *, text: Mapping[str, str]) -> None:
        """Initialize it.

        Args:
            parse: returns the value of a text, and any other value as it is.
            text: the JSON schema of the text, beside its type.
        """
        self._parse = parse
        self._text = text

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._parse, handler(source))

    def __get_pydantic_json_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", **self._text}, handler(source)]}


class CheckedBy:
    """Annotation of a setting whose values a function checks, which raises `ValueError`."""

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._check, handler(source))


class ReportedBy:
    """Annotation of a setting that reports show in another form, such as without secrets."""

    def __init__(self, show: Callable[[Any], Any]) -> None:
        self._show = show

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        show = core_schema.plain_serializer_function_ser_schema(self._show, when_used="json")
        return {**handler(source), "serialization": show}
