"""The command `icstream evaluate`."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from icstream.model.errors import ConfigError
from icstream.model.settings_base import DEFAULT_THREADS
from icstream.model.shown import printable
from icstream.pipeline.cli.console import log_to_stderr, print_lines, write_results
from icstream.pipeline.cli.options import (
    DataFolder,
    DataFormat,
    Device,
    JsonFile,
    Neutral,
    OptionalOutDir,
    Overwrite,
    Precision,
    Runtime,
    Select,
    Split,
    Threads,
    TrainTag,
    ValTag,
    Weights,
)

if TYPE_CHECKING:
    from icstream.model import Checkpoint, Segmenter
    from icstream.model.runtimes import Precision as PrecisionName
    from icstream.model.runtimes import RuntimeName
    from icstream.stages.data import LabeledData
    from icstream.stages.evaluate import Evaluation, MeasuredAgreement

log = logging.getLogger(__name__)

ReducedPrecision = Literal["bf16", "fp16", "int8"]
WithExits = Annotated[bool, typer.Option("--exits", help="Also score the auxiliary heads.")]
WriteAgreement = Annotated[
    ReducedPrecision | None,
    typer.Option(
        metavar="PRECISION",
        help="Compare this precision with fp32 first, and store the agreement in the weights file.",
    ),
]


class _Backend(TypedDict):
    """Keyword arguments that `Segmenter` and `measure_agreement` share."""

    runtime: "RuntimeName"
    device: str
    threads: int


Temporal = Annotated[
    bool,
    typer.Option(
        help="Measure how much masks change between frames; DATA is a recording without labels.",
    ),
]
_JSON, _MATRIX, _FRAMES = "evaluation.json", "confusion.png", "frames.png"


def evaluate_command(
    folder: DataFolder,
    split: Split = "val",
    select: Select = None,
    weights: Weights = None,
    data_format: DataFormat = "auto",
    neutral: Neutral = "neutral",
    train_tag: TrainTag = "train",
    val_tag: ValTag = "val",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    threads: Threads = DEFAULT_THREADS,
    with_exits: WithExits = False,
    out: OptionalOutDir = None,
    overwrite: Overwrite = False,
    json_file: JsonFile = None,
    write_agreement: WriteAgreement = None,
    temporal: Temporal = False,
) -> int:
    """Score masks against labels: mIoU, IoU and confusion matrix."""
    log_to_stderr(quiet=False)
    from icstream.model.pretrained import DEFAULT

    weights = weights or DEFAULT
    if temporal and (select or with_exits or write_agreement):
        raise ConfigError("--temporal: needs no labels, so leave out the options for labels")
    if write_agreement:
        _check_weights_file(weights)
    if out is not None:
        _prepare_output(out, overwrite=overwrite)
    backend: _Backend = {"runtime": runtime, "device": device, "threads": threads}
    if temporal:
        return _evaluate_temporal(folder, weights, precision, backend, out, json_file)
    from icstream.model import Segmenter, load_weights
    from icstream.stages.data import open_data, select_splits
    from icstream.stages.evaluate import evaluation_report

    data = open_data(
        folder, format=data_format, train_tag=train_tag, val_tag=val_tag, neutral=neutral
    )
    if select:
        split = ", ".join(select)  # the name under which the report quotes it
        data = select_splits(data, {split: select})
    checkpoint, agreement = load_weights(weights), None
    if write_agreement:
        agreement = _measure_agreement(checkpoint, data, split, write_agreement, backend)
        checkpoint = agreement.kept_in(checkpoint)
        checkpoint.save(Path(weights))
    segmenter = Segmenter(checkpoint, precision=precision, **backend)
    evaluation = _evaluate(segmenter, checkpoint, data, split, with_exits=with_exits)
    values = evaluation_report(evaluation)
    if agreement is not None:
        values["agreement"] = asdict(agreement)
    file = _results_file(out)
    if out is not None:
        _draw(evaluation, segmenter, data, out)
    write_results(values, file, json_file)
    lost = evaluation.corrupted or evaluation.without_split or evaluation.left_out
    return 3 if lost else 0


def _evaluate_temporal(
    recording: Path,
    weights: str,
    precision: "PrecisionName",
    backend: _Backend,
    out: Path | None,
    json_file: Path | None,
) -> int:
    """Measure the stability of masks in a recording, and return the exit code."""
    from icstream.model import Segmenter, load_weights
    from icstream.pipeline.cli.progress import ProgressBar
    from icstream.stages.evaluate.recorded_stability import measure_stability

    segmenter = Segmenter(load_weights(weights), precision=precision, **backend)
    with ProgressBar("comparing frames") as bar:
        measured = measure_stability(segmenter, str(recording), on_progress=bar.update)
    print_lines(measured.stability.summary())
    write_results(measured.values(segmenter), _results_file(out), json_file)
    if measured.accounting.complete:
        return 0
    log.error("incomplete: %s: %s", printable(str(recording)), measured.accounting.losses())
    return 3


def _results_file(out: Path | None) -> Path | None:
    """Return the file for results in the output folder, which is made, if there is one."""
    if out is None:
        return None
    out.mkdir(parents=True, exist_ok=True)
    return out / _JSON


def _check_weights_file(weights: str) -> None:
    if not Path(weights).is_file():
        raise ConfigError(
            f"--write-agreement needs a weights file that can be written, got {weights}"
        )


def _prepare_output(folder: Path, *, overwrite: bool) -> None:
    """Check the folder and remove earlier results from it, leaving other files alone."""
    from icstream.pipeline.output import check_output_folder

    results = (_JSON, _MATRIX, _FRAMES)
    check_output_folder(folder, overwrite=overwrite, results=results)
    for name in results:
        (folder / name).unlink(missing_ok=True)


def _measure_agreement(
    checkpoint: "Checkpoint",
    data: "LabeledData",
    split: str,
    precision: ReducedPrecision,
    backend: _Backend,
) -> "MeasuredAgreement":
    from icstream.pipeline.cli.progress import ProgressBar
    from icstream.stages.evaluate import measure_agreement

    with ProgressBar("comparing precisions") as bar:
        agreement = measure_agreement(
            checkpoint, data, split=split, precision=precision, on_progress=bar.update, **backend
        )
    print_lines([agreement.line()])
    return agreement


def _evaluate(
    segmenter: "Segmenter",
    checkpoint: "Checkpoint",
    data: "LabeledData",
    split: str,
    *,
    with_exits: bool,
) -> "Evaluation":
    from icstream.pipeline.cli.progress import ProgressBar
    from icstream.stages.evaluate import evaluate_dataset, summary
    from icstream.stages.evaluate.exits import Exits

    exits = Exits(checkpoint, segmenter) if with_exits else None
    with ProgressBar("evaluating") as bar:
        evaluation = evaluate_dataset(
            segmenter, data, split=split, exits=exits, on_progress=bar.update
        )
    if not evaluation.confusion.counts.any():
        raise ConfigError(
            f"{data.origin}: split {split!r}: no pixel has a class, so nothing was scored"
        )
    print_lines(summary(evaluation))
    return evaluation


def _draw(
    evaluation: "Evaluation", segmenter: "Segmenter", data: "LabeledData", folder: Path
) -> None:
    from PIL import Image

    from icstream.stages.evaluate import draw_confusion, draw_frame_sheet

    Image.fromarray(draw_confusion(evaluation)).save(folder / _MATRIX)
    if evaluation.ranked():
        sheet = draw_frame_sheet(evaluation, segmenter, data)
        Image.fromarray(sheet).save(folder / _FRAMES)
