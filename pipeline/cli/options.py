"""Arguments and options that several commands have in common, each with its type and its help."""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from icstream.model.errors import ConfigError


def _check_json_file(file: Path | None) -> Path | None:
    """Refuse a file that cannot be written before there is anything to write."""
    if file is None or str(file) == "-":
        return file
    reason = None
    if file.is_dir():
        reason = "is a folder, a file is needed"
    elif not file.parent.is_dir():
        reason = f"there is no folder {file.parent}"
    elif not os.access(file.parent, os.W_OK | os.X_OK):  # the file is replaced as a whole
        reason = f"nothing can be written into {file.parent}"
    if reason:
        raise ConfigError(f"--json {file}: {reason}; give a file in a folder that can be written")
    return file


# What goes in, and where results go.
DataFolder: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DATA", help="A project or folder of labeled images.")
]
_OUT_DIR = typer.Option("-o", "--out", metavar="DIR", help="Folder for the results.")
OutDir: TypeAlias = Annotated[Path, _OUT_DIR]
OptionalOutDir: TypeAlias = Annotated[Path | None, _OUT_DIR]
Overwrite: TypeAlias = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Continue an interrupted run from where it stopped.")
]
JsonFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the results as JSON too; - for stdout.",
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
    typer.Option("--set", metavar="KEY=VALUE", help="One setting: section.key=value; repeatable."),
]

# Labeled data.
DataFormat: TypeAlias = Annotated[
    Literal["auto", "supervisely", "folder", "cityscapes"],
    typer.Option("--format", metavar="NAME", help="auto, supervisely, folder or cityscapes."),
]
Split: TypeAlias = Annotated[str, typer.Option(metavar="NAME", help="Split of the data to use.")]
Select: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN|@FILE",
        help="Samples whose names match, or are listed, in place of a split; repeatable.",
    ),
]
Neutral: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Supervisely: class whose pixels are void.")
]
TrainTag: TypeAlias = Annotated[
    str, typer.Option(metavar="TAG", help="Supervisely: tag of the images to train on.")
]
ValTag: TypeAlias = Annotated[
    str, typer.Option(metavar="TAG", help="Supervisely: tag of the images to validate on.")
]

# What runs the network.
Weights: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="FILE|NAME", help="Checkpoint, name of shipped weights, or random."),
]
Runtime: TypeAlias = Annotated[
    Literal["auto", "torch", "openvino", "onnx"],
    typer.Option(metavar="NAME", help="auto, openvino, torch or onnx."),
]
Precision: TypeAlias = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option(metavar="NAME", help="auto, fp32, bf16, fp16 or int8."),
]
Device: TypeAlias = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda:N.")]
Threads: TypeAlias = Annotated[int, typer.Option(metavar="N", min=1, help="CPU threads.")]

# The same as settings of commands that have a configuration, which checks them; None: not given.
RuntimeSetting: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="auto, openvino, torch or onnx.")
]
PrecisionSetting: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="auto, fp32, bf16, fp16 or int8.")
]
DeviceSetting: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="auto, cpu or cuda:N.")
]
ReplicaThreads: TypeAlias = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="CPU threads of each replica.")
]
Replicas: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="Processes that run the network.")
]
Transport: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="How frames travel: shm, ipc or tcp.")
]
