"""Arguments and options shared by several commands, each with its type and help text."""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from icstream.model.errors import ConfigError


def _check_json_file(file: Path | None) -> Path | None:
    """Raise for a file that cannot be written, before there are results to lose."""
    if file is None or str(file) == "-":
        return file
    from icstream.pipeline.output import is_no_file

    reason = None
    if file.is_dir():
        reason = "is a folder, but a file is needed"
    elif is_no_file(file):
        reason = None if os.access(file, os.W_OK) else "it cannot be written"
    elif not file.parent.is_dir():
        reason = f"folder {file.parent} does not exist"
    elif not os.access(file.parent, os.W_OK | os.X_OK):  # the file is replaced, not overwritten
        reason = f"folder {file.parent} cannot be written"
    if reason:
        raise ConfigError(f"--json {file}: {reason}; choose a file in a folder that can be written")
    return file


# Input and output.
DataFolder: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DATA", help="Supervisely project or folder of labeled images.")
]
_OUT_DIR = typer.Option("-o", "--out", metavar="DIR", help="Folder for the results.")
OutDir: TypeAlias = Annotated[Path, _OUT_DIR]
OptionalOutDir: TypeAlias = Annotated[Path | None, _OUT_DIR]
Overwrite: TypeAlias = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Continue an interrupted run where it stopped.")
]
JsonFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Also write the results as JSON to FILE, or to stdout for -.",
        callback=_check_json_file,
    ),
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="Log warnings and errors only.")]

# Configurations.
ConfigFile: TypeAlias = Annotated[
    str | None,
    typer.Option("-c", "--config", metavar="FILE|NAME", help="YAML or JSON file, or preset name."),
]
Assignments: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override one setting, as section.key=value; repeatable."
    ),
]

# Labeled data.
DataFormat: TypeAlias = Annotated[
    Literal["auto", "supervisely", "folder", "cityscapes"],
    typer.Option(
        "--format", metavar="NAME", help="Layout of DATA: auto, supervisely, folder or cityscapes."
    ),
]
Split: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Split of the data set to use.")
]
Select: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN|@FILE",
        help="Use samples by name pattern, or as listed in FILE, instead of a split; repeatable.",
    ),
]
Neutral: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Class whose pixels are ignored (Supervisely only).")
]
TrainTag: TypeAlias = Annotated[
    str, typer.Option(metavar="TAG", help="Tag of the training images (Supervisely only).")
]
ValTag: TypeAlias = Annotated[
    str, typer.Option(metavar="TAG", help="Tag of the validation images (Supervisely only).")
]

# Inference.
Weights: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="FILE|NAME", help="Checkpoint file, name of shipped weights, or random."),
]
Runtime: TypeAlias = Annotated[
    Literal["auto", "torch", "openvino", "onnx"],
    typer.Option(metavar="NAME", help="Inference runtime: auto, openvino, torch or onnx."),
]
Precision: TypeAlias = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option(metavar="NAME", help="Inference precision: auto, fp32, bf16, fp16 or int8."),
]
Device: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Device: auto, cpu or cuda:N.")
]
Threads: TypeAlias = Annotated[int, typer.Option(metavar="N", min=1, help="Number of CPU threads.")]

# The same options for commands with a configuration, which validates them; None means not given.
RuntimeSetting: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Inference runtime: auto, openvino, torch or onnx."),
]
PrecisionSetting: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Inference precision: auto, fp32, bf16, fp16 or int8."),
]
DeviceSetting: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="Device: auto, cpu or cuda:N.")
]
ReplicaThreads: TypeAlias = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="CPU threads per replica.")
]
Replicas: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="Number of processes that run the network.")
]
Transport: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="How frames travel between processes: shm, ipc or tcp."),
]
