"""The commands and the snippets in README.md and docs/, as a reader would copy them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]

_PYTHON = frozenset(("icstream", "pip", "pytest", "python", "python3", "torchrun"))
_OTHER = frozenset(
    ("apt-get", "cd", "cp", "curl", "docker", "export", "ffmpeg", "git", "make", "mkdir", "sudo")
)
PROGRAMS = _PYTHON | _OTHER
"""What begins a command in an indented block, which may hold output or files as well."""
SHELLS = frozenset(("bash", "console", "sh", "shell"))
"""Languages of fenced blocks that hold nothing but commands."""
_CODE = frozenset(("", "text", *SHELLS))


@dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    page: str
    """Path of the page in the repository."""
    line: int
    """Number of its first line."""
    language: str
    """Empty where nothing is said."""
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command line."""

    page: str
    line: int
    text: str
    """On one line, without a comment."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"

    @property
    def program(self) -> str:
        """What is called, without its folder."""
        return self.text.split()[0].removeprefix(".venv/bin/")


def pages() -> list[Path]:
    """Return the pages that people write; those below docs/reference are generated."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@cache
def blocks() -> list[Block]:
    """Return all blocks of code, fenced and indented."""
    return [block for page in pages() for block in _blocks_of(page)]


def _blocks_of(page: Path) -> Iterator[Block]:
    name = str(page.relative_to(ROOT))
    for token in MarkdownIt().parse(page.read_text()):
        if token.map is not None and token.type in ("fence", "code_block"):
            language = (token.info.split() or [""])[0]
            first = token.map[0] + (2 if token.type == "fence" else 1)
            yield Block(name, first, language, token.content.rstrip("\n"))


@cache
def commands() -> list[Command]:
    """Return all commands, in order."""
    return [command for block in blocks() for command in _commands_of(block)]


def _commands_of(block: Block) -> list[Command]:
    if block.language not in _CODE:
        return []
    found = []
    lines = iter(enumerate(block.text.splitlines(), block.line))
    for number, line in lines:
        text = line.removeprefix("$ ").strip()
        if not text or text.startswith("#"):
            continue
        while text.endswith("\\"):
            text = text[:-1].rstrip() + " " + next(lines)[1].strip()
        text = re.sub(r"\s+# .*", "", text)
        command = Command(block.page, number, text)
        if block.language in SHELLS - {"console"} or command.program in PROGRAMS:
            found.append(command)
    return found


@cache
def inline_commands() -> list[Command]:
    """Return the commands of icstream that are named within a sentence or a table."""
    found = []
    for page in pages():
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for code in re.findall(r"`(icstream [^`]+)`", line):
                command = code.replace("\\|", "|")
                found.append(Command(str(page.relative_to(ROOT)), number, command))
    return found
