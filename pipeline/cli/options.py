"""Options that several commands have in common, each with its type and its help."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

DataFolder: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DATA", help="A project or folder of labelled images.")
]
DataFormat: TypeAlias = Annotated[
    Literal["auto", "supervisely", "folder", "cityscapes"],
    typer.Option("--format", metavar="NAME", help="auto, supervisely, folder or cityscapes."),
]
Neutral: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Supervisely: the class that is left out.")
]
TrainTag: TypeAlias = Annotated[
    str, typer.Option(metavar="TAG", help="Supervisely: marks images to train on.")
]
ValTag: TypeAlias = Annotated[
    str, typer.Option(metavar="TAG", help="Supervisely: marks images to validate on.")
]
Weights: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FILE|NAME", help="Checkpoint, a shipped name, or random.")
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
Threads: TypeAlias = Annotated[
    int, typer.Option(metavar="N", min=1, help="Threads of the processor.")
]

# Settings of the commands that have a configuration, which checks them; None where not given.
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
    int | None, typer.Option(metavar="N", help="Threads of each replica.")
]
Replicas: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="Processes that run the network.")
]
Transport: TypeAlias = Annotated[str | None, typer.Option(metavar="NAME", help="shm, ipc or tcp.")]
