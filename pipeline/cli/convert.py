"""`icstream convert`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from icstream.model.errors import ConfigError, ConversionError
from icstream.pipeline.cli.console import hand_on, log_to_stderr


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A Supervisely model folder, .pt, .pth, .pkl or .caffemodel."
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="The checkpoint, .safetensors.")
    ],
    classes_file: Annotated[
        Path | None,
        typer.Option(
            "--classes",
            metavar="FILE",
            help="Names and colours of the outputs, as JSON; wins over what SOURCE says.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Write what became of each tensor here; - for stdout."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> int:
    """Turn foreign ICNet weights into a checkpoint: Supervisely, pytorch-semseg, Caffe."""
    log_to_stderr(quiet=False)
    _check_output(out, source, overwrite=overwrite)
    from icstream.model import convert as convert_weights
    from icstream.stages.data.folder import read_label_set

    classes = None if classes_file is None else read_label_set(classes_file)
    try:
        converted = convert_weights(source, classes=classes)
    except ConversionError as error:
        hand_on(error.report, json_file)
        raise
    out.parent.mkdir(parents=True, exist_ok=True)
    converted.checkpoint.save(out)
    for line in [*converted.report.lines(), f"checkpoint in {out}"]:
        print(line, file=sys.stderr)
    hand_on(converted.report.values(), json_file)
    return 0


def _check_output(out: Path, source: Path, *, overwrite: bool) -> None:
    """Refuses a file that would be lost.

    Raises:
        ConfigError: it is a folder, the source, or there and not to be replaced.
    """
    if out.is_dir():
        raise ConfigError(f"output {out}: is a folder, a file is needed")
    if not out.exists():
        return
    if source.exists() and out.samefile(source):
        raise ConfigError(f"output {out}: is the source; choose another file")
    if not overwrite:
        raise ConfigError(f"output {out}: is there already; choose another file, or --overwrite")
