"""Parsers of YAML and JSON from any origin, with limits on depth and size."""

import json
import re
from typing import Any

import yaml

MAX_BYTES = 2**20
"""Most bytes of a settings file."""
_MAX_DEPTH = 64
_MAX_VALUES = 100_000
"""Most values in a YAML text, each counted as often as aliases repeat it."""
_MAX_DIGITS = 1000


class TooLargeError(ValueError):
    """A text that is valid, but holds more than settings ever do."""


class YamlLoader(yaml.SafeLoader):
    """A YAML loader that reads 1e-4 as a number, as JSON and YAML 1.2 do, and limits the values.

    A few aliases of aliases can stand for billions of values.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._num_values = 0
        self._sizes: dict[yaml.Node, int] = {}
        """Number of values in each node, the node itself included."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """See base class."""
        if self.check_event(yaml.AliasEvent):
            node: yaml.Node | None = super().compose_node(parent, index)
            if node not in self._sizes:
                raise TooLargeError("an alias refers to a node that contains it")
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
        """Return the value of an integer of limited length: base 60 takes quadratic time."""
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
        yaml.YAMLError: the text is not YAML.
        ValueError: a value is invalid, or the text is too large (`TooLargeError`).
    """
    try:
        return yaml.load(text, YamlLoader)
    except RecursionError as error:
        raise TooLargeError("nested too deeply") from error


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: the text is not JSON, or is too large (`TooLargeError`).
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
