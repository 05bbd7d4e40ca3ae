"""One configuration from its sources: a file, `--set` and options, each over the one before."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic

import yaml

from icstream.model.errors import ConfigError
from icstream.pipeline.settings.bounded_text import TooLargeError, parse_yaml
from icstream.pipeline.settings.loader import Kind, Schema, check, read_settings
from icstream.pipeline.settings.old_keys import OldKeys


class SettingsReader(Generic[Schema]):
    """Collects the values of a configuration, under their present keys, and checks them."""

    def __init__(self, schema: type[Schema], file: str | None, *, kind: Kind) -> None:
        """Read the file.

        Args:
            schema: what is allowed.
            file: a YAML or JSON file, the name of a preset, or None.
            kind: the command that it is for.

        Raises:
            ConfigError: it cannot be read, is of another kind, or holds anything but settings.
        """
        self._schema = schema
        self._file = file
        self._old_keys = OldKeys(schema)
        self.values = self._old_keys.replaced(read_settings(file, kind=kind)) if file else {}

    def assign(self, assignments: Iterable[str]) -> None:
        """Put "section.key=value" texts, values read as YAML, over what is there.

        Raises:
            ConfigError: one of them cannot be read, or treats a value as a section.
        """
        given: dict[str, str] = {}
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            if not equals or not key:
                raise ConfigError(f"--set {assignment}: write it as section.key=value")
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
                        f"--set {key}: is the same setting as {earlier}, which is given too; keep"
                        f" {name}"
                    )

    def put_options(self, options: Mapping[str, Any]) -> None:
        """Put the values of command-line options, by dotted keys; None was not given."""
        for key, value in options.items():
            if value is not None:
                self.put(key, value)

    def put(self, dotted: str, value: object) -> list[str]:
        """Put a value where a dotted key says, over what is there.

        Returns:
            The present keys of what was put.

        Raises:
            ConfigError: a part of the key but the last names a value.
        """
        sections = dotted.split(".")[:-1]
        nested = {dotted.split(".")[-1]: value}
        for section in reversed(sections):
            nested = {section: nested}
        values, added = self.values, self._old_keys.replaced(nested)
        path = ""
        for _ in sections:
            if not added:  # the old key could not be read
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
        """Return the settings; see `check`."""
        errors = [*self._old_keys.errors, *errors]
        return check(self._schema, self.values, origin=self._file, errors=errors, refusals=refusals)
