"""Links and headings of Markdown, as GitHub reads them."""

import re
from collections.abc import Callable, Iterator

from markdown_it import MarkdownIt

_CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(<?([^()<>\s]+(?:\([^()\s]*\))?[^()<>\s]*)>?(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
_LINK_TEXT = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


def links(markdown: str) -> Iterator[tuple[int, str]]:
    """Return the line and the target of each link and image."""
    hidden = _hide_code(markdown)
    for match in _LINK.finditer(hidden):
        yield hidden.count("\n", 0, match.start()) + 1, match[1]


def replace_links(markdown: str, replace: Callable[[str], str]) -> str:
    """Return the text with other targets of links and images."""
    parts, end = [], 0
    for match in _LINK.finditer(_hide_code(markdown)):
        parts += [markdown[end : match.start(1)], replace(match[1])]
        end = match.end(1)
    return "".join([*parts, markdown[end:]])


def anchors(markdown: str) -> list[str]:
    """Return the anchors of the headings, in order."""
    found: list[str] = []
    taken: dict[str, int] = {}
    for line, plain in zip(markdown.split("\n"), _hide_blocks(markdown).split("\n"), strict=True):
        heading = _HEADING.match(line) if plain.strip() else None
        if heading:
            name = anchor(heading[1])
            count = taken[name] = taken.get(name, -1) + 1
            found.append(f"{name}-{count}" if count else name)
    return found


def anchor(heading: str, separator: str = "-") -> str:
    """Return the anchor of a heading, which may hold code and links."""
    text = _LINK_TEXT.sub(r"\1", heading).replace("`", "")
    return _NOT_IN_ANCHOR.sub("", text.strip().lower()).replace(" ", separator)


def _hide_code(markdown: str) -> str:
    """Return the text, of the same length, with blanks in place of code."""
    return _CODE_SPAN.sub(lambda match: _blank(match[0]), _hide_blocks(markdown))


def _hide_blocks(markdown: str) -> str:
    """Replace everything in blocks of code, fenced and indented, by spaces."""
    lines = markdown.split("\n")
    for token in MarkdownIt().parse(markdown):
        if token.type in ("fence", "code_block") and token.map is not None:
            lines[slice(*token.map)] = map(_blank, lines[slice(*token.map)])
    return "\n".join(lines)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)
