"""`icstream annotate`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from icstream.pipeline.cli.console import Bar, StopSignals, hand_on, log_to_stderr
from icstream.pipeline.cli.options import (
    Device,
    Precision,
    Runtime,
    Threads,
    Weights,
)


def annotate(
    project: Annotated[
        Path, typer.Argument(metavar="PROJECT", help="A Supervisely project, or a video file.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="Folder for the new project.")
    ],
    config: Annotated[
        str | None,
        typer.Option("-c", "--config", metavar="FILE|NAME", help="JSON or YAML, or ready-made."),
    ] = None,
    weights: Weights = None,
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    threads: Threads = 2,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what was interrupted.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier result.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the outcome here too; - for stdout."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what went wrong.")] = False,
) -> int:
    """Put the network's objects into a copy of a project of images or videos."""
    log_to_stderr(quiet)
    import cv2

    from icstream.model.pretrained import DEFAULT
    from icstream.pipeline.offline.annotate import annotate_project
    from icstream.pipeline.output import REPORT
    from icstream.pipeline.settings.annotate import load_annotate_config

    # What is wrong with an image is said once, by us.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    settings = load_annotate_config(config)
    stop = StopSignals()
    with Bar("annotating") as bar:
        outcome = annotate_project(
            settings,
            project,
            out,
            weights=weights or DEFAULT,
            runtime=runtime,
            device=device,
            precision=precision,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            on_progress=bar.update,
            should_stop=stop.received,
        )
    code = stop.exit_code() if outcome.stopped else outcome.exit_code()
    if not quiet:
        for line in outcome.lines():
            print(line, file=sys.stderr)
        if outcome.stopped:
            print("stopped; go on with --resume", file=sys.stderr)
        else:
            print(f"project in {out}", file=sys.stderr)
    values = outcome.values() | {"exit_code": code}
    hand_on(values, out / REPORT)
    hand_on(values, json_file)
    return code
