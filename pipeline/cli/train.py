"""`icstream train`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from icstream.pipeline.cli.console import StopSignals, hand_on, log_to_stderr
from icstream.pipeline.cli.options import (
    DataFormat,
)


def train(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="JSON or YAML settings, or ready-made.")
    ],
    data: Annotated[
        Path, typer.Option(metavar="DATA", help="A project or folder of labelled images.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="RUN", help="Folder for weights and metrics.")
    ],
    init: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Weights to start from.")
    ] = None,
    data_format: DataFormat = "auto",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, as section.key=value."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads of the processor.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was interrupted.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where another training was.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the result here; - for stdout."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what went wrong.")] = False,
) -> int:
    """Train a network on labelled images; weights, state and metrics go into a folder."""
    first = os.environ.get("RANK", "0") == "0"  # of those that torchrun has started
    quiet = quiet or not first
    log_to_stderr(quiet)
    from icstream.pipeline.cli.train_progress import open_display
    from icstream.pipeline.offline.train import launch_ranks, run_training
    from icstream.pipeline.settings.train import load_train_config

    settings = load_train_config(config, assignments or ())
    launch_ranks(settings.gpu_devices, sys.argv[1:])
    stop = StopSignals()
    with open_display(quiet=quiet) as display:
        result = run_training(
            settings,
            data,
            out,
            data_format=data_format,
            init=init,
            resume=resume,
            overwrite=overwrite,
            threads=threads,
            display=display,
            should_stop=stop.received,
        )
    values: dict[str, Any] = {
        "steps": result.steps,
        "num_steps": result.num_steps,
        "validation": result.validation and result.validation.values(result.labels),
        "corrupted": result.failures,
    }
    if not quiet:
        done = f"{result.steps} of {result.num_steps} steps"
        if result.finished:
            print(f"{done}; weights in {out}", file=sys.stderr)
        else:
            print(f"stopped after {done}; go on with --resume", file=sys.stderr)
    if first:
        hand_on(values, json_file)
    if not result.finished:
        return stop.exit_code()
    return 3 if result.failures else 0
