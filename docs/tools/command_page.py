"""The page on the command line, from the commands' own objects."""

from collections.abc import Iterator
from typing import Any

import typer
from markdown_text import code, page, prose, table

from icstream.pipeline.cli.main import app

_INTRODUCTION = """
Every command has `--help`, which prints what stands here. An option is required where it says so,
and otherwise may be left out. Options that stand for a setting have no default here: without the
option, the setting counts, see [run](settings-run.md), [train](settings-train.md),
[serve](settings-serve.md) and [annotate](settings-annotate.md). The README lists the exit codes.
"""


def build_command_page() -> str:
    """Return the page on all commands that are not hidden."""
    commands = list(_commands(typer.main.get_command(app), "icstream"))
    overview = [
        [f"[`{path}`](#{_anchor(path)})", prose(command.help)] for path, command in commands
    ]
    lines = table(("command", "what it does"), overview[1:])
    for path, command in commands:
        lines += _describe(path, command)
    return page("The command line", _INTRODUCTION, lines)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Return a command and those in it, each with all the words that call it."""
    children = getattr(command, "commands", {})
    if not children or path == "icstream":
        yield path, command
    for name, child in children.items():
        if not child.hidden:
            yield from _commands(child, f"{path} {name}")


def _describe(path: str, command: Any) -> Iterator[str]:
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    options = [param for param in shown if param.param_type_name == "option"]
    yield from (f"## {path}", "", prose(command.help), "")
    pieces = [path, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)]
    if hasattr(command, "commands"):
        pieces.append("COMMAND [ARGS]...")
    yield from ("```text", " ".join(pieces), "```", "")
    yield from table(
        ("argument", "meaning"),
        [(code(_argument(param)), prose(param.help or "")) for param in arguments],
    )
    yield from table(
        ("option", "default", "meaning"),
        [(_names(param), _default(param), _meaning(param)) for param in options],
    )


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    name = f"{name}..." if param.nargs == -1 or param.multiple else name
    return name if param.required else f"[{name}]"


def _names(param: Any) -> str:
    names = [*param.opts, *param.secondary_opts]
    if not param.is_flag and not param.count:
        names[-1] += f" {param.metavar or 'TEXT'}"
    return ", ".join(code(name) for name in names)


def _default(param: Any) -> str:
    if param.required:
        return "required"
    value = param.default
    if value is None or value is False or callable(value):
        return ""
    return code(" ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def _meaning(param: Any) -> str:
    texts = [param.help or ""]
    if param.min is not None:
        texts.append(f"{param.min} to {param.max}." if param.max else f"{param.min} or more.")
    if param.envvar:
        names = [param.envvar] if isinstance(param.envvar, str) else param.envvar
        texts.append(f"Also from the environment: {', '.join(code(name) for name in names)}.")
    return " ".join(prose(text) for text in texts)


def _anchor(path: str) -> str:
    return path.replace(" ", "-")
