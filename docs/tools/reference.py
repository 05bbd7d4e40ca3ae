"""Writes the pages in docs/reference; `make reference` calls it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from command_page import build_command_page
from python_page import build_python_page
from settings_pages import build_settings_page

from icstream.pipeline.settings.annotate import AnnotateConfig
from icstream.pipeline.settings.run import RunConfig
from icstream.pipeline.settings.schema_fields import SchemaType
from icstream.pipeline.settings.serve import ServeConfig
from icstream.pipeline.settings.train import TrainConfig

FOLDER = Path(__file__).resolve().parents[1] / "reference"


class _Command(NamedTuple):
    """A command that has settings."""

    schema: SchemaType
    introduction: str


_COMMANDS: Mapping[str, _Command] = {
    "run": _Command(
        RunConfig,
        """
What a file given by `-c`, or `--set`, may change: `--set live.max_fps=10` sets `max_fps` in the
section `live`. Options of the [command line](command-line.md#icstream-run) win over `--set`,
which wins over the file. An unknown setting is an error that names the nearest known one. Files
are YAML, or JSON if their names end in `.json`; the [presets](../../configs) are given by name.
`icstream config schema` prints the JSON schema.
""",
    ),
    "train": _Command(
        TrainConfig,
        """
The settings of a training; [The training configuration](../training-configuration.md) explains
them, and what differs from the Supervisely plugin whose form they have. `--set recipe.ema=0.999`
sets `ema` in the section `recipe`, and wins over the file. `icstream config schema --of train`
prints the JSON schema.
""",
    ),
    "serve": _Command(
        ServeConfig,
        """
What a file given by `-c`, or `--set`, may change: `--set limits.images=4` sets `images` in the
section `limits`. Options of the [command line](command-line.md#icstream-serve) win over `--set`,
which wins over the file. [Serving](../serve.md) explains the service. `icstream config schema
--of serve` prints the JSON schema.
""",
    ),
    "annotate": _Command(
        AnnotateConfig,
        """
What a file given by `-c` may say: the inference configuration of the Supervisely plugin, in its
second form. The first form is read too; [Annotating](../annotate.md) explains both. `icstream
config schema --of annotate` prints the JSON schema.
""",
    ),
}


def build_pages() -> dict[Path, str]:
    """Return the text of every page, by its file."""
    makers: dict[str, Callable[[], str]] = {
        "command-line": build_command_page,
        "python": build_python_page,
    }
    pages = {FOLDER / f"{name}.md": make() for name, make in makers.items()}
    for command, (schema, introduction) in _COMMANDS.items():
        title = f"Settings of icstream {command}"
        pages[FOLDER / f"settings-{command}.md"] = build_settings_page(title, introduction, schema)
    return pages


def main() -> None:
    """Write all pages, and remove others from their folder."""
    pages = build_pages()
    FOLDER.mkdir(exist_ok=True)
    for file in set(FOLDER.glob("*.md")) - set(pages):
        file.unlink()
    for file, text in pages.items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
