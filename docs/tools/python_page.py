"""The page on the Python interface, from signatures and docstrings, without importing any of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import griffe
from markdown_text import code, page, prose, table

_SOURCES = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "pipeline",
    "model",
    "stages",
    "stages.decode",
    "stages.sinks",
    "stages.annotate",
    "stages.data",
    "stages.evaluate",
    "stages.train",
)
_INTRODUCTION = """
What stands here is what other programs may use; everything else may change with any version.
Names are imported from the package under which they stand:

```python
from icstream.pipeline import segment
```
"""
_WIDTH = 88
_LISTS = {
    "parameters": "Arguments",
    "returns": "Returns",
    "yields": "Yields",
    "raises": "Raises",
    "attributes": "Attributes",
}
"""Sections of docstrings that are lists, with their titles."""


def build_python_page() -> str:
    """Return the page on all names that the packages export."""
    root = griffe.load("icstream", search_paths=[_SOURCES], docstring_parser=griffe.Parser.google)
    seen: dict[str, str] = {}
    overview = [
        (f"[`icstream.{name}`](#icstream{name.replace('.', '')})", _first_line(root[name]))
        for name in _PACKAGES
    ]
    lines = table(("package", "what it is"), overview)
    for name in _PACKAGES:
        lines += _package(root[name], f"icstream.{name}", seen)
    return page("The Python interface", _INTRODUCTION, lines)


def _first_line(package: Any) -> str:
    return prose(str(package.docstring.value).partition("\n\n")[0])


def _package(package: Any, path: str, seen: dict[str, str]) -> Iterator[str]:
    yield from (f"## {path}", "", *_docstring(package))
    elsewhere = []
    for name in map(str, package.exports):
        target = package[name].final_target if package[name].is_alias else package[name]
        if target.path in seen:
            elsewhere.append(f"[`{name}`](#{name.lower()}) of {seen[target.path]}")
            continue
        seen[target.path] = path
        yield from (f"### {code(name)}", "", *_object(name, target))
    if elsewhere:
        yield from (f"Also to be imported from here: {', '.join(elsewhere)}.", "")


def _object(name: str, target: Any) -> Iterator[str]:
    if target.is_class:
        yield from _class(name, target)
    elif target.is_function:
        yield from _code(_signature(name, target, list(target.parameters)))
        yield from _docstring(target)
    else:
        yield from _code(_attribute(name, target))
        yield from _docstring(target)


def _class(name: str, target: Any) -> Iterator[str]:
    initializer = None if target.has_labels("dataclass") else target.members.get("__init__")
    if initializer is None:
        bases = ", ".join(str(base) for base in target.bases)
        decorators = [f"@{value}" for value in _decorators(target) if value.startswith("dataclass")]
        yield from _code(
            "\n".join([*decorators, f"class {name}({bases})" if bases else f"class {name}"])
        )
        yield from _docstring(target)
    else:
        yield from _code(f"class {_signature(name, None, list(initializer.parameters)[1:])}")
        yield from _docstring(target)
        yield from _docstring(initializer)
    members = [member for member in target.members.values() if not member.is_alias]
    yield from _attributes(target, [member for member in members if member.is_attribute])
    for method in members:
        if method.is_function and method.docstring and method is not initializer:
            yield from _method(name, method)


def _decorators(target: Any) -> list[str]:
    return [str(decorator.value) for decorator in target.decorators]


def _method(class_name: str, method: Any) -> Iterator[str]:
    is_special = method.name.startswith("__")
    if method.name.startswith("_") and not is_special:
        return
    parameters = list(method.parameters)
    if not method.has_labels("staticmethod"):
        parameters = parameters[1:]
    yield from (f"#### {code(f'{class_name}.{method.name}')}", "")
    yield from _code(_signature(f"{class_name}.{method.name}", method, parameters))
    yield from _docstring(method)


def _attributes(target: Any, attributes: Sequence[Any]) -> Iterator[str]:
    """Return a table of fields and properties, of what was assigned that which has a docstring."""
    has_fields = target.has_labels("dataclass") or bool(target.bases)
    shown = [
        attribute
        for attribute in attributes
        if not attribute.name.startswith("_")
        and not attribute.name.isupper()
        and (attribute.docstring or (has_fields and attribute.annotation is not None))
    ]
    rows = [
        (
            code(attribute.name),
            code(str(attribute.annotation)) if attribute.annotation is not None else "",
            code(_default(attribute.value)) if _has_default(attribute) else "",
            " ".join(_docstring(attribute)).strip(),
        )
        for attribute in shown
    ]
    if any(default for _, _, default, _ in rows):
        yield from table(("attribute", "type", "default", "meaning"), rows)
    else:
        short = [(name, kind, meaning) for name, kind, _, meaning in rows]
        yield from table(("attribute", "type", "meaning"), short)


def _has_default(attribute: Any) -> bool:
    return attribute.value is not None and not attribute.has_labels("property")


def _default(value: Any) -> str:
    """Return a field's default as it is written, or the value that a factory gives."""
    text = str(value)
    for argument in getattr(value, "arguments", ()):
        if str(argument).startswith("default_factory="):
            made = str(argument).removeprefix("default_factory=")
            return made.removeprefix("lambda: ") if "lambda" in made else f"{made}()"
        if str(argument).startswith("default="):
            return str(argument).removeprefix("default=")
    return text


def _attribute(name: str, target: Any) -> str:
    value = target.value
    if isinstance(value, griffe.ExprCall):
        text = f"{value.function}(...)"
    elif isinstance(value, griffe.ExprDict):
        text = "{...}"
    else:
        text = str(value)
    is_alias = target.annotation is None or str(target.annotation) == "TypeAlias"
    return f"{name} = {text}" if is_alias else f"{name}: {target.annotation} = {text}"


def _signature(name: str, function: Any, parameters: Sequence[Any]) -> str:
    returns = function.returns if function is not None else None
    arrow = f" -> {returns}" if returns is not None else ""
    parts = _parameters(parameters)
    line = f"{name}({', '.join(parts)}){arrow}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){arrow}"])


def _parameters(parameters: Sequence[Any]) -> list[str]:
    parts: list[str] = []
    for index, parameter in enumerate(parameters):
        if parameter.kind is griffe.ParameterKind.keyword_only and "*" not in parts:
            parts.append("*")
        text = {"variadic positional": "*", "variadic keyword": "**"}.get(parameter.kind.value, "")
        text += parameter.name
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not text.startswith("*"):
            equals = " = " if parameter.annotation is not None else "="
            text += f"{equals}{parameter.default}"
        parts.append(text)
        is_last = index + 1 == len(parameters) or (
            parameters[index + 1].kind is not griffe.ParameterKind.positional_only
        )
        if parameter.kind is griffe.ParameterKind.positional_only and is_last:
            parts.append("/")
    return parts


def _docstring(target: Any) -> Iterator[str]:
    for section in target.docstring.parsed if target.docstring else ():
        kind = section.kind.value
        if kind == "text":
            yield from (section.value, "")
        elif kind == "examples":
            for form, text in section.value:
                yield from _code(text) if form.value == "examples" else (text, "")
        elif kind in _LISTS:
            yield from (f"{_LISTS[kind]}:", "", *map(_entry, section.value), "")
        else:
            raise ValueError(f"{target.path}: {kind} in its docstring, known are {list(_LISTS)}")


def _entry(item: Any) -> str:
    name = getattr(item, "name", "") or str(item.annotation or "")
    return f"- {code(name)}: {prose(item.description)}" if name else f"- {prose(item.description)}"


def _code(text: str) -> tuple[str, ...]:
    quoted = text if '"' in text else text.replace("'", '"')  # as the code has them
    return ("```python", quoted, "```", "")
