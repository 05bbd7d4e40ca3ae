"""Reading of one configuration from a file, `--set` and options, in this order of precedence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic

import yaml

from icstream.model.errors import ConfigError
from icstream.pipeline.settings.bounded_text import TooLargeError, parse_yaml
from icstream.pipeline.settings.loader import Kind, Schema, check, read_settings
from icstream.pipeline.settings.old_keys import OldKeys


class SettingsReader(Generic[Schema]):
    """A collector of the values of one configuration, under their present keys."""

    def __init__(self, schema: type[Schema], file: str | None, *, kind: Kind) -> None:
        """Read the file.

        Args:
            schema: the schema.
            file: a YAML or JSON file, the name of a preset, or None.
            kind: the command that the configuration is for.

        Raises:
            ConfigError: it cannot be read, is for another command, or is not a mapping of settings.
        """
        self._schema = schema
        self._file = file
        self._old_keys = OldKeys(schema)
        self.values = self._old_keys.replaced(read_settings(file, kind=kind)) if file else {}

    def assign(self, assignments: Iterable[str]) -> None:
        """Override values by "section.key=value" texts, whose values are YAML.

        Raises:
            ConfigError: a text cannot be parsed, or uses a value as a section.
        """
        given: dict[str, str] = {}
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            if not equals or not key:
                raise ConfigError(f"--set {assignment}: must have the form section.key=value")
            try:
                value = parse_yaml(text)
            except TooLargeError as error:
                raise ConfigError(f"--set {key}: {error}") from error
            except (yaml.YAMLError, ValueError) as error:
                raise ConfigError(f"--set {assignment}: the value is not YAML") from error
            key = key.strip()
            for name in self.put(key, value):
                if (earlier := given.setdefault(name, key)) != key:
                    self._old_keys.errors.append(
                        f"--set {key}: is the same setting as {earlier}, which is also given; keep"
                        f" {name}"
                    )

    def put_options(self, options: Mapping[str, Any]) -> None:
        """Override values by command-line options, by dotted key; None means not given."""
        for key, value in options.items():
            if value is not None:
                self.put(key, value)

    def put(self, dotted: str, value: object) -> list[str]:
        """Override one value, by its dotted key.

        Returns:
            The present keys of the value.

        Raises:
            ConfigError: a part of the key before the last one names a value.
        """
        sections = dotted.split(".")[:-1]
        nested = {dotted.split(".")[-1]: value}
        for section in reversed(sections):
            nested = {section: nested}
        values, added = self.values, self._old_keys.replaced(nested)
        path = ""
        for _ in sections:
            if not added:  # the old key could not be converted
                return []
            [(section, added)] = added.items()
            path += f"{section}."
            values = values.setdefault(section, {})
            if not isinstance(values, dict):
                raise ConfigError(f"{dotted}: {section} is a value, not a section")
        values |= added
        return [f"{path}{name}" for name in added]

    def check(
        self, *, errors: Sequence[str] = (), refusals: Mapping[str, str] | None = None
    ) -> Schema:
        """Validate the collected values and return the settings; see `check`."""
        errors = [*self._old_keys.errors, *errors]
        return check(self._schema, self.values, origin=self._file, errors=errors, refusals=refusals)
