"""Links in the documentation lead somewhere: checked without the network, as GitHub reads them."""

from collections.abc import Iterator
from pathlib import Path

import yaml
from links import anchors, links, replace_links

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".github", "benchmarks", "docs", "examples", "model")


def _pages() -> list[Path]:
    inside = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *inside])


def _relative_links() -> Iterator[tuple[str, Path, str]]:
    """Return for each link where it stands, its file and its anchor."""
    for page in _pages():
        for line, target in links(page.read_text("utf-8")):
            if "://" not in target and not target.startswith("mailto:"):
                path, _, anchor = target.partition("#")
                place = f"{page.relative_to(ROOT)}:{line}: {target}"
                yield place, (page.parent / path).resolve() if path else page, anchor


def test_links_lead_to_files_of_the_repository() -> None:
    broken = [
        place
        for place, file, _ in _relative_links()
        if not file.exists() or not file.is_relative_to(ROOT)
    ]

    assert not broken, f"links to what does not exist: {broken}"


def test_anchors_of_links_are_headings() -> None:
    known: dict[Path, list[str]] = {}
    broken = []
    for place, file, anchor in _relative_links():
        if anchor and file.suffix == ".md" and file.is_file():
            if file not in known:
                known[file] = anchors(file.read_text("utf-8"))
            if anchor not in known[file]:
                broken.append(place)

    assert not broken, f"links to headings that do not exist: {broken}"


def test_every_page_of_docs_is_in_the_navigation_of_the_site() -> None:
    def files(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict):
            for value in entry.values():
                yield from files(value)
        elif isinstance(entry, list):
            for value in entry:
                yield from files(value)

    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    in_navigation = {name for name in files(settings["nav"]) if not name.startswith("repository/")}
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}

    assert in_navigation == {"index.md", *pages}, "mkdocs.yml: its nav is to name every page"


def test_code_holds_no_links() -> None:
    markdown = (
        "[a](one.md)\n\n```\n[b](two.md)\n```\n\n    [c](three.md)\n\n`[d](four.md)` [e](5.md#x)"
    )

    assert list(links(markdown)) == [(1, "one.md"), (9, "5.md#x")]


def test_links_in_lists_are_no_code() -> None:
    markdown = "- an item\n\n    that [goes on](more.md)\n\n```\n- not one [here](no.md)\n```\n"

    assert [target for _, target in links(markdown)] == ["more.md"]


def test_only_the_targets_of_links_are_replaced() -> None:
    markdown = '![an image](a.png "a title") and `[code](a.png)`'

    assert replace_links(markdown, lambda _: "b.png") == markdown.replace('](a.png "', '](b.png "')


def test_anchors_are_those_of_github() -> None:
    # As github.com shows them for these headings.
    markdown = (
        "# The `live.camera` section\n## What's new?\n## What's new?\n"
        "### See [a link](x.md) & more\n```\n# no heading\n```\n"
    )

    assert anchors(markdown) == [
        "the-livecamera-section",
        "whats-new",
        "whats-new-1",
        "see-a-link--more",
    ]
