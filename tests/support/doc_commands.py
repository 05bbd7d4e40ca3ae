"""The commands and the snippets in README.md and docs/, as a reader would copy them."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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


def _blocks_of(page: Path) -> list[Block]:
    name = str(page.relative_to(ROOT))
    found: list[Block] = []
    fence: str | None = None
    begin, lines = 0, list[str]()
    for number, line in enumerate([*page.read_text().splitlines(), ""], 1):
        mark = re.fullmatch(r"\s*```\s*([\w+-]*).*", line)
        if mark and fence is None:
            fence, begin, lines = mark[1], number + 1, []
        elif mark and fence is not None:
            found.append(Block(name, begin, fence, "\n".join(lines)))
            fence, lines = None, []
        elif fence is not None or line.startswith("    "):
            begin = begin if lines or fence is not None else number
            lines.append(line if fence is not None else line[4:])
        elif lines:
            found.append(Block(name, begin, "", "\n".join(lines)))
            lines = []
    return found


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
