"""`icstream quantize`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from icstream.model.errors import ConfigError
from icstream.pipeline.cli.console import Bar, log_to_stderr
from icstream.pipeline.cli.options import (
    DataFolder,
    DataFormat,
    Neutral,
    Threads,
    TrainTag,
    ValTag,
)


def quantize(
    folder: DataFolder,
    weights: Annotated[
        Path, typer.Option(metavar="FILE", help="The checkpoint; the ranges go into it.")
    ],
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Which part of the data to look at.")
    ] = "train",
    num_images: Annotated[
        int, typer.Option("--pictures", metavar="N", min=1, help="So many, spread over the split.")
    ] = 32,
    data_format: DataFormat = "auto",
    neutral: Neutral = "neutral",
    train_tag: TrainTag = "train",
    val_tag: ValTag = "val",
    threads: Threads = 2,
) -> int:
    """Measure on images what int8 needs to know, and keep it in the weights file."""
    log_to_stderr(quiet=False)
    if not weights.is_file():
        raise ConfigError(f"quantise needs a weights file of your own, got {weights}")
    import torch

    from icstream.model import Checkpoint
    from icstream.stages.data import open_data
    from icstream.stages.evaluate import calibrate_on

    data = open_data(
        folder, format=data_format, train_tag=train_tag, val_tag=val_tag, neutral=neutral
    )
    checkpoint = Checkpoint.load(weights)
    torch.set_num_threads(threads)
    with Bar("calibrating") as bar:
        calibrated = calibrate_on(
            checkpoint, data, split=split, num_images=num_images, on_progress=bar.update
        )
    calibrated.save(weights)
    assert calibrated.ranges is not None
    print(
        f"{len(calibrated.ranges.highs)} convolutions calibrated on"
        f" {calibrated.ranges.calibrated_on}; ranges in {weights}\n"
        "what it costs: icstream evaluate DATA --weights FILE --write-agreement int8",
        file=sys.stderr,
    )
    return 0
