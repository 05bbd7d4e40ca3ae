"""The command `icstream convert`."""

from pathlib import Path
from typing import Annotated

import typer

from icstream.model.errors import ConversionError
from icstream.pipeline.cli.console import log_to_stderr, print_lines, write_results
from icstream.pipeline.cli.options import JsonFile, Overwrite

ForeignWeights = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE", help="Supervisely model folder, or .pt, .pth, .pkl or .caffemodel file."
    ),
]
CheckpointFile = Annotated[
    Path, typer.Option("-o", "--out", metavar="FILE", help="Checkpoint to write (.safetensors).")
]
ClassesFile = Annotated[
    Path | None,
    typer.Option(
        "--classes",
        metavar="FILE",
        help="JSON file with the class names and colors, instead of those in SOURCE.",
    ),
]


def convert_command(
    source: ForeignWeights,
    out: CheckpointFile,
    classes_file: ClassesFile = None,
    json_file: JsonFile = None,
    overwrite: Overwrite = False,
) -> int:
    """Convert ICNet weights of other programs to a checkpoint."""
    log_to_stderr(quiet=False)
    from icstream.pipeline.output import check_output_files

    check_output_files([out], source=source, overwrite=overwrite)
    from icstream.model import convert
    from icstream.stages.data.folder import read_label_set

    classes = None if classes_file is None else read_label_set(classes_file)
    try:
        converted = convert(source, classes=classes)
    except ConversionError as error:
        write_results(error.report, json_file)
        raise
    out.parent.mkdir(parents=True, exist_ok=True)
    converted.checkpoint.save(out)
    write_results(converted.report.values(), json_file)
    print_lines([*converted.report.lines(), f"checkpoint in {out}"])
    return 0
