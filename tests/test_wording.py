"""The wording of docstrings, help texts and comments, as CONTRIBUTING asks for it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from icstream.pipeline.cli.main import app

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "stages", "model", "configs", "examples", "benchmarks")

THIRD_PERSON = re.compile(
    r"(Gives|Tells|Says|Takes|Makes|Gets|Puts|Lets|Returns|Yields|Raises|Has|Is|Does|Shows)\b"
)
"""First words of a docstring of a function, which is in the imperative."""
NOT_NOUNS = re.compile(
    r"(What|How|Why|When|Where|Which|Who|Let|Of|From|See|Note|Take note|So many)\b"
)
"""First words that are neither in the imperative nor a noun; "See base class." is for overrides."""
SPEAKING = re.compile(
    r"\b(hub|worker|workers|supervisor|decoder|service|network)s?"
    r" (hears?|tells?|says?|knows of|is told|are told|wants?)\b"
)
"""Things that act like people."""
COMMAND_LINE = re.compile(r"^ *(icstream|pip|python) .*$", re.MULTILINE)
"""A command in the docstring of a script, on a line of its own."""


def docstrings(package: str) -> Iterator[tuple[str, bool, str]]:
    """Yield the place of each docstring, whether it is that of a function, and its text."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            body = getattr(node, "body", None)
            statements: list[ast.stmt] = body if isinstance(body, list) else []
            for place, statement in enumerate(statements):
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    text = statement.value.value
                    is_own = place == 0 and isinstance(
                        node, (ast.FunctionDef, ast.AsyncFunctionDef)
                    )
                    if isinstance(text, str):
                        where = f"{path.relative_to(ROOT)}:{statement.lineno}"
                        yield where, is_own, " ".join(COMMAND_LINE.sub("", text).split())


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_begin_with_an_imperative_or_a_noun(package: str) -> None:
    wrong = [
        f"{where}: {text[:60]}"
        for where, is_function, text in docstrings(package)
        if (is_function and THIRD_PERSON.match(text))
        or (NOT_NOUNS.match(text) and not text.startswith(("See base class", "See the ASGI")))
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_end_as_sentences(package: str) -> None:
    wrong = [
        f"{where}: {text[-60:]}"
        for where, _, text in docstrings(package)
        if not text.endswith((".", ":", "`", ")", "}", "?"))
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_things_do_not_speak(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for found in SPEAKING.finditer(" ".join(path.read_text("utf-8").split()))
    ]
    assert wrong == []


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield a command and all below it, by full name."""
    yield name, command
    for inner_name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {inner_name}")


def test_help_texts_begin_with_a_capital_and_end_with_a_period() -> None:
    texts = []
    for name, command in commands(typer.main.get_command(app), "icstream"):
        texts.append((name, command.help))
        for parameter in command.params:
            hidden = getattr(parameter, "hidden", False) or parameter.name == "help"
            if not hidden:
                texts.append((f"{name} {parameter.name}", getattr(parameter, "help", None)))
    assert len(texts) > 100
    wrong = [
        f"{name}: {text}"
        for name, text in texts
        if not re.fullmatch(r"[A-Z].*\.", text or "", re.S)
    ]
    assert wrong == []
