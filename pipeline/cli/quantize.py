"""The command `icstream quantize`."""

from pathlib import Path
from typing import Annotated

import typer

from icstream.model.errors import ConfigError
from icstream.model.settings_base import DEFAULT_THREADS
from icstream.pipeline.cli.console import log_to_stderr, print_lines, print_renamed
from icstream.pipeline.cli.options import (
    DataFolder,
    DataFormat,
    Neutral,
    Split,
    Threads,
    TrainTag,
    ValTag,
)

_NUM_IMAGES = 32

WeightsFile = Annotated[
    Path,
    typer.Option(
        "--weights", metavar="FILE", help="Checkpoint file to which the ranges are added."
    ),
]
NumImages = Annotated[
    int | None,
    typer.Option(
        "--images",
        metavar="N",
        min=1,
        help="Number of images to use, spread evenly over the split.",
        show_default=str(_NUM_IMAGES),
    ),
]
Pictures = Annotated[int | None, typer.Option("--pictures", min=1, hidden=True)]


def quantize_command(
    folder: DataFolder,
    weights: WeightsFile,
    split: Split = "train",
    num_images: NumImages = None,
    pictures: Pictures = None,
    data_format: DataFormat = "auto",
    neutral: Neutral = "neutral",
    train_tag: TrainTag = "train",
    val_tag: ValTag = "val",
    threads: Threads = DEFAULT_THREADS,
) -> int:
    """Calibrate weights for int8 on the images of a data set."""
    log_to_stderr(quiet=False)
    if pictures is not None:
        print_renamed("--pictures", "--images")
        if num_images is not None:
            raise ConfigError(
                "--pictures is the old name of --images, which is also given; keep only --images"
            )
        num_images = pictures
    if not weights.is_file():
        raise ConfigError(f"quantize needs a weights file that can be written, got {weights}")
    import torch

    from icstream.model import Checkpoint
    from icstream.pipeline.cli.progress import ProgressBar
    from icstream.stages.data import open_data
    from icstream.stages.evaluate import calibrate_on

    data = open_data(
        folder, format=data_format, train_tag=train_tag, val_tag=val_tag, neutral=neutral
    )
    checkpoint = Checkpoint.load(weights)
    torch.set_num_threads(threads)
    with ProgressBar("calibrating") as bar:
        calibrated = calibrate_on(
            checkpoint,
            data,
            split=split,
            num_images=num_images or _NUM_IMAGES,
            on_progress=bar.update,
        )
    calibrated.save(weights)
    assert calibrated.ranges is not None
    print_lines(
        [
            f"{len(calibrated.ranges.highs)} convolutions calibrated on"
            f" {calibrated.ranges.calibrated_on}; ranges in {weights}",
            "to measure the loss: icstream evaluate DATA --weights FILE --write-agreement int8",
        ]
    )
    return 0
