"""Markdown that GitHub and the site show alike."""

import html
import re
from collections.abc import Iterable, Sequence

_CODE_SPAN = re.compile(r"(`[^`]*`)")
_SPECIAL = re.compile(r"([*<]|__|\[(?=[^\]]*\]\())")


def prose(text: str) -> str:
    """Return a text of one paragraph as a line, with nothing in it that Markdown would take."""
    parts = _CODE_SPAN.split(" ".join(text.split()))
    return "".join(
        part if index % 2 else _SPECIAL.sub(r"\\\1", part).replace("\\__", r"\_\_")
        for index, part in enumerate(parts)
    )


def code(text: str) -> str:
    """Return a text as code, which may also stand in a table."""
    if "|" in text or "`" in text:
        return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"
    return f"`{text}`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table, and an empty one behind it; nothing if there is no row."""
    lines = [_row(row) for row in rows]
    if not lines:
        return []
    return [_row(header), _row(["---"] * len(header)), *lines, ""]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def join_choices(choices: Sequence[str]) -> str:
    """Return choices as a list with "or"."""
    if len(choices) < 2:
        return "".join(choices)
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def page(title: str, introduction: str, lines: Iterable[str]) -> str:
    """Return a page that says by whom it was written."""
    note = "<!-- Written by `make reference` from the code; what is changed here is lost. -->"
    body = "\n".join([f"# {title}", "", note, "", introduction.strip(), "", *lines])
    return body.rstrip("\n") + "\n"
