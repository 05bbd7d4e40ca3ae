"""`icstream data`: about labelled data sets."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from icstream.model.errors import ConfigError
from icstream.pipeline.cli.console import Bar, hand_on, log_to_stderr
from icstream.pipeline.cli.options import (
    DataFolder,
    DataFormat,
    Neutral,
    TrainTag,
    ValTag,
)

data_app = typer.Typer(help="About labelled data.", rich_markup_mode=None, no_args_is_help=True)


@data_app.callback()
def _data() -> None:
    """About labelled data."""


@data_app.command()
def check(
    folder: DataFolder,
    data_format: DataFormat = "auto",
    neutral: Neutral = "neutral",
    train_tag: TrainTag = "train",
    val_tag: ValTag = "val",
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw some images and their labels."),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the findings here; - for stdout."),
    ] = None,
) -> int:
    """Load everything in a data set, and say what is in it and what cannot be used."""
    log_to_stderr(quiet=True)
    import cv2

    from icstream.stages.data import check_data, open_data

    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # what is wrong with an image is said once, by us
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise ConfigError(f"--sheet writes PNG, so its name must end in .png, got {sheet}")
    data = open_data(
        folder, format=data_format, train_tag=train_tag, val_tag=val_tag, neutral=neutral
    )
    with Bar("checking") as bar:
        findings = check_data(data, watch=bar.update)
    for line in findings.lines():
        print(line, file=sys.stderr)
    if sheet is not None:
        from PIL import Image

        from icstream.stages.data.contact_sheet import draw_data_sheet

        drawn = draw_data_sheet(data)
        if drawn is not None:
            Image.fromarray(drawn).save(sheet)
    hand_on(findings.values(), json_file)
    return 3 if findings.corrupted else 0
