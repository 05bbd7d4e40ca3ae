"""The pages in docs/reference are those that the code gives, and say what it says."""

from typing import Annotated, ClassVar, Literal

import pytest
from command_page import build_command_page
from markdown_text import prose
from pydantic import Field
from reference import FOLDER, build_pages
from settings_pages import build_settings_page

from icstream.model.settings_base import renamed
from icstream.pipeline.settings.loader import Settings


class Inner(Settings):
    """A section."""

    OLD_KEYS: ClassVar = {"colour": renamed("color")}

    color: Literal["red", "blue"] | None = None
    """A color."""
    share: float = Field(0.5, gt=0, le=1)
    """A share |of| all * pixels."""


class Outer(Settings):
    """All settings."""

    sizes: list[Annotated[int, Field(ge=1)]]
    """Sizes."""
    count: int = Field(3, ge=1, le=1024)
    """A count
    over two lines."""
    inner: Inner = Inner()
    """The inner section."""
    entries: tuple[Inner, ...] = ()
    """Several of them."""


def test_the_reference_is_what_the_code_gives() -> None:
    pages = build_pages()
    committed = {file: file.read_text("utf-8") for file in FOLDER.glob("*.md")}

    stale = sorted(
        file.name for file in pages.keys() | committed if pages.get(file) != committed.get(file)
    )

    if stale:
        pytest.fail(
            f"docs/reference: {', '.join(stale)} differ from what the code says;"
            " run `make reference` and commit the pages",
            pytrace=False,
        )


def test_a_setting_has_its_type_range_default_and_meaning() -> None:
    lines = build_settings_page("Title", "About.", Outer).splitlines()

    assert "| `sizes` | list of integers, 1 or more | required | Sizes. |" in lines
    assert "| `count` | integer, 1 to 1,024 | `3` | A count over two lines. |" in lines
    assert "| `color` | `red`, `blue` or `null` | `null` | A color. |" in lines
    assert (
        r"| `share` | number above 0, at most 1 | `0.5` | A share \|of\| all \* pixels. |" in lines
    )


def test_sections_have_headings_with_their_paths_and_their_old_names() -> None:
    text = build_settings_page("Title", "About.", Outer)

    assert "\n## `inner`\n\nThe inner section. A section.\n" in text
    assert (
        "\n## `entries`\n\nSeveral of them. A section."
        " This is a list; each entry has these settings.\n" in text
    )
    assert "\nOld names, read with a warning: `colour` (now `color`).\n" in text


def test_every_command_has_its_options_and_hidden_ones_are_left_out() -> None:
    lines = build_command_page().splitlines()

    assert "## icstream config schema" in lines
    assert any(line.startswith("| `-o`, `--out DIR` | required | ") for line in lines)
    assert not any("quantise" in line for line in lines)


def test_code_in_prose_is_left_as_it_is() -> None:
    assert prose("a `b*c` <d>\n e*f __all__ g_h") == r"a `b*c` \<d> e\*f \_\_all\_\_ g_h"
