"""`icstream evaluate`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from icstream.model.errors import ConfigError
from icstream.pipeline.cli.console import Bar, hand_on, log_to_stderr
from icstream.pipeline.cli.options import (
    DataFolder,
    DataFormat,
    Device,
    Neutral,
    Precision,
    Runtime,
    Threads,
    TrainTag,
    ValTag,
    Weights,
)

if TYPE_CHECKING:
    from icstream.model import Checkpoint, Segmenter
    from icstream.stages.data import LabeledData
    from icstream.stages.evaluate import Evaluation
    from icstream.stages.evaluate.exits import Exits

_JSON, _MATRIX, _FRAMES = "evaluation.json", "confusion.png", "frames.png"


def evaluate(
    folder: DataFolder,
    split: Annotated[str, typer.Option(metavar="NAME", help="Which part of the data.")] = "val",
    weights: Weights = None,
    data_format: DataFormat = "auto",
    neutral: Neutral = "neutral",
    train_tag: TrainTag = "train",
    val_tag: ValTag = "val",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    threads: Threads = 2,
    with_exits: Annotated[
        bool, typer.Option("--exits", help="Score the network's three heads too.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder for the results.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier evaluation's results.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures here; - for stdout."),
    ] = None,
    write_agreement: Annotated[
        Literal["bf16", "fp16", "int8"] | None,
        typer.Option(
            metavar="PRECISION",
            help="First compare it with fp32, and keep the figures in the weights file.",
        ),
    ] = None,
) -> int:
    """Compare masks with the labels of images: mIoU, IoU per class, confusion matrix."""
    log_to_stderr(quiet=False)
    from icstream.model.pretrained import DEFAULT

    weights = weights or DEFAULT
    if write_agreement and not Path(weights).is_file():
        raise ConfigError(f"--write-agreement needs a weights file of your own, got {weights}")
    _check_output(out, overwrite=overwrite)
    from icstream.model import Segmenter, load_weights
    from icstream.stages.data import open_data
    from icstream.stages.evaluate import evaluate_dataset, measure_agreement, report, summary

    data = open_data(
        folder, format=data_format, train_tag=train_tag, val_tag=val_tag, neutral=neutral
    )
    checkpoint = load_weights(weights)
    agreement = None
    if write_agreement:
        with Bar("comparing precisions") as bar:
            agreement = measure_agreement(
                checkpoint,
                data,
                split=split,
                precision=write_agreement,
                runtime=runtime,
                device=device,
                threads=threads,
                on_progress=bar.update,
            )
        print(agreement.line(), file=sys.stderr)
        checkpoint = agreement.kept_in(checkpoint)
        checkpoint.save(Path(weights))
    segmenter = Segmenter(
        checkpoint, runtime=runtime, device=device, precision=precision, threads=threads
    )
    exits = _open_exits(checkpoint, segmenter) if with_exits else None
    with Bar("evaluating") as bar:
        evaluation = evaluate_dataset(
            segmenter, data, split=split, exits=exits, on_progress=bar.update
        )
    for line in summary(evaluation):
        print(line, file=sys.stderr)
    values = report(evaluation)
    if agreement is not None:
        values["agreement"] = asdict(agreement)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _draw(evaluation, segmenter, data, out)
        hand_on(values, out / _JSON)
    hand_on(values, json_file)
    return 3 if evaluation.corrupted or evaluation.without_split else 0


def _open_exits(checkpoint: "Checkpoint", segmenter: "Segmenter") -> "Exits":
    from icstream.stages.evaluate.exits import Exits

    return Exits(checkpoint, segmenter)


def _check_output(folder: Path | None, *, overwrite: bool) -> None:
    """Refuses a folder with results in it; other files in it are nobody's business.

    Raises:
        ConfigError: it is a file, or holds results and `overwrite` was not given.
    """
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output {folder}: is a file, a folder is needed")
    there = [name for name in (_JSON, _MATRIX, _FRAMES) if (folder / name).exists()]
    if there and not overwrite:
        raise ConfigError(
            f"output {folder}: has {', '.join(there)} in it; choose another folder, or --overwrite"
        )
    for name in there:
        (folder / name).unlink()


def _draw(
    evaluation: "Evaluation", segmenter: "Segmenter", data: "LabeledData", folder: Path
) -> None:
    from PIL import Image

    from icstream.stages.evaluate import draw_confusion, draw_frame_sheet

    Image.fromarray(draw_confusion(evaluation)).save(folder / _MATRIX)
    if evaluation.ranked():
        sheet = draw_frame_sheet(evaluation, segmenter, data)
        Image.fromarray(sheet).save(folder / _FRAMES)
