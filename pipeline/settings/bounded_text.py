"""YAML and JSON of bounded depth and size, whoever wrote it."""

import json
import re
from typing import Any

import yaml

MAX_BYTES = 2**20
"""Larger files hold no settings."""
_MAX_DEPTH = 64
_MAX_VALUES = 100_000
"""Values in a YAML text, each as often as aliases repeat it."""
_MAX_DIGITS = 1000


class TooLargeError(ValueError):
    """A text that is valid, but holds more than settings ever do."""


class YamlLoader(yaml.SafeLoader):
    """A loader that takes 1e-4 for a number, as JSON and YAML 1.2 do, and counts what it reads.

    A few aliases of aliases stand for billions of values.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._num_values = 0
        self._sizes: dict[yaml.Node, int] = {}
        """Values in each node, itself included."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node; see `yaml.composer.Composer`."""
        if self.check_event(yaml.AliasEvent):
            node: yaml.Node | None = super().compose_node(parent, index)
            if node not in self._sizes:
                raise TooLargeError("an alias stands within what it repeats")
            self._count(self._sizes[node])
            return node
        if self._depth == _MAX_DEPTH:
            raise TooLargeError(f"nested more than {_MAX_DEPTH} deep")
        before = self._num_values
        self._depth += 1
        self._count(1)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None:
            self._sizes[node] = self._num_values - before
        return node

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """Return the value of an integer; those to the base of 60 take quadratic time."""
        if len(node.value) > _MAX_DIGITS:
            raise TooLargeError(f"a number of more than {_MAX_DIGITS} digits")
        return int(self.construct_yaml_int(node))

    def _count(self, num_values: int) -> None:
        self._num_values += num_values
        if self._num_values > _MAX_VALUES:
            raise TooLargeError(f"more than {_MAX_VALUES} values")


YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
YamlLoader.add_constructor("tag:yaml.org,2002:int", YamlLoader.construct_integer)


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        yaml.YAMLError: it is none.
        ValueError: it is none, or a `TooLargeError`.
    """
    try:
        return yaml.load(text, YamlLoader)
    except RecursionError as error:
        raise TooLargeError("nested too deeply") from error


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none, or a `TooLargeError`.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise TooLargeError(f"nested more than {_MAX_DEPTH} deep") from error
    level = [value]
    for _ in range(_MAX_DEPTH):
        groups = [entry for entry in level if isinstance(entry, (dict, list))]
        level = [
            inner
            for group in groups
            for inner in (group.values() if isinstance(group, dict) else group)
        ]
    if level:
        raise TooLargeError(f"nested more than {_MAX_DEPTH} deep")
    return value
