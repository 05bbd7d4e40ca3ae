"""The command `icstream data`, for labeled data sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icstream.model.errors import ConfigError
from icstream.pipeline.cli.console import (
    log_to_stderr,
    print_lines,
    silence_opencv,
    write_results,
)
from icstream.pipeline.cli.options import (
    DataFolder,
    DataFormat,
    JsonFile,
    Neutral,
    TrainTag,
    ValTag,
)

if TYPE_CHECKING:
    from icstream.stages.data import LabeledData

data_app = typer.Typer(
    help="Inspect a labeled data set.", rich_markup_mode=None, no_args_is_help=True
)

SheetFile = Annotated[
    Path | None,
    typer.Option(
        "--sheet", metavar="FILE.png", help="Draw some images with their labels to this file."
    ),
]


@data_app.callback()
def _data() -> None:
    """Inspect a labeled data set."""


@data_app.command("check")
def check_command(
    folder: DataFolder,
    data_format: DataFormat = "auto",
    neutral: Neutral = "neutral",
    train_tag: TrainTag = "train",
    val_tag: ValTag = "val",
    sheet: SheetFile = None,
    json_file: JsonFile = None,
) -> int:
    """Load every sample of a data set, summarize it, and list what cannot be used."""
    log_to_stderr(quiet=True)
    from icstream.pipeline.cli.progress import ProgressBar
    from icstream.stages.data import check_data, open_data

    silence_opencv()
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise ConfigError(f"--sheet {sheet}: must end in .png")
    data = open_data(
        folder, format=data_format, train_tag=train_tag, val_tag=val_tag, neutral=neutral
    )
    with ProgressBar("checking") as bar:
        findings = check_data(data, watch=bar.update)
    print_lines(findings.lines())
    if sheet is not None:
        _draw_sheet(data, sheet)
    write_results(findings.values(), json_file)
    return 3 if findings.corrupted or findings.left_out else 0


def _draw_sheet(data: "LabeledData", file: Path) -> None:
    from PIL import Image

    from icstream.stages.data.sample_sheet import draw_sample_sheet

    drawn = draw_sample_sheet(data)
    if drawn is not None:
        Image.fromarray(drawn).save(file)
