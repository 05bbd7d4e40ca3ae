"""The command `icstream train`."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icstream.pipeline.cli.console import StopSignals, log_to_stderr, print_lines, write_results
from icstream.pipeline.cli.options import (
    Assignments,
    DataFormat,
    JsonFile,
    Overwrite,
    Quiet,
    Resume,
)
from icstream.pipeline.cli.standard_streams import drain_standard_error

if TYPE_CHECKING:
    from icstream.stages.train import Trained

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="YAML or JSON file, or preset name.")]
Data = Annotated[
    Path,
    typer.Option("--data", metavar="DATA", help="Supervisely project or folder of labeled images."),
]
RunDir = Annotated[
    Path,
    typer.Option("-o", "--out", metavar="RUN", help="Folder for weights, state and metrics."),
]
Init = Annotated[
    str | None,
    typer.Option(
        "--init",
        metavar="FILE|NAME",
        help="Checkpoint file or name of shipped weights to start from.",
    ),
]
TrainThreads = Annotated[
    int | None, typer.Option("--threads", metavar="N", min=1, help="Number of CPU threads.")
]


def train_command(
    config: Config,
    data: Data,
    out: RunDir,
    init: Init = None,
    data_format: DataFormat = "auto",
    assignments: Assignments = None,
    threads: TrainThreads = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json_file: JsonFile = None,
    quiet: Quiet = False,
) -> int:
    """Train a network on labeled images."""
    is_first_rank = os.environ.get("RANK", "0") == "0"  # torchrun sets it for each rank
    quiet = quiet or not is_first_rank
    log_to_stderr(quiet=quiet)
    if not is_first_rank:  # the first rank warns for all
        logging.getLogger("icstream.pipeline.settings").setLevel(logging.ERROR)
    from icstream.pipeline.cli.train_progress import TrainProgress
    from icstream.pipeline.offline.train import launch_ranks, run_training
    from icstream.pipeline.settings.train import load_train_config
    from icstream.stages.train.loader import LoaderError

    settings = load_train_config(config, assignments or ())
    drain_standard_error()  # the process may become torchrun
    launch_ranks(settings.gpu_devices, sys.argv[1:])
    with StopSignals() as stop:
        try:
            with TrainProgress(quiet=quiet) as progress:
                result = run_training(
                    settings,
                    data,
                    out,
                    data_format=data_format,
                    init=init,
                    resume=resume,
                    overwrite=overwrite,
                    threads=threads,
                    display=progress,
                    should_stop=stop.received,
                )
        except LoaderError as error:
            print_lines([f"icstream: {error}"])
            return 1
        if not quiet:
            print_lines([_summary(result, out)])
        if is_first_rank:
            write_results(_values(result), json_file)
    if not result.finished:
        return stop.exit_code()
    return 3 if result.failures or result.left_out else 0


def _summary(result: "Trained", out: Path) -> str:
    done = f"{result.steps} of {result.num_steps} steps"
    if result.finished:
        return f"{done}; weights in {out}"
    return f"stopped after {done}; continue with --resume"


def _values(result: "Trained") -> dict[str, Any]:
    return {
        "steps": result.steps,
        "num_steps": result.num_steps,
        "validation": result.validation and result.validation.values(result.labels),
        "corrupted": result.failures,
        **({"left_out": list(result.left_out)} if result.left_out else {}),
    }
