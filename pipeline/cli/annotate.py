"""The command `icstream annotate`."""

from pathlib import Path
from typing import Annotated

import typer

from icstream.model.settings_base import DEFAULT_THREADS
from icstream.pipeline.cli.console import (
    StopSignals,
    log_to_stderr,
    print_lines,
    silence_opencv,
    write_results,
)
from icstream.pipeline.cli.options import (
    ConfigFile,
    Device,
    JsonFile,
    OutDir,
    Overwrite,
    Precision,
    Quiet,
    Resume,
    Runtime,
    Threads,
    Weights,
)

Project = Annotated[
    Path, typer.Argument(metavar="PROJECT", help="Supervisely project or video file.")
]


def annotate_command(
    project: Project,
    out: OutDir,
    config: ConfigFile = None,
    weights: Weights = None,
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    threads: Threads = DEFAULT_THREADS,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json_file: JsonFile = None,
    quiet: Quiet = False,
) -> int:
    """Annotate a copy of a project with the network's objects."""
    log_to_stderr(quiet=quiet)
    from icstream.model.pretrained import DEFAULT
    from icstream.pipeline.cli.progress import ProgressBar
    from icstream.pipeline.offline.annotate import annotate_project
    from icstream.pipeline.output import REPORT
    from icstream.pipeline.settings.annotate import load_annotate_config

    silence_opencv()
    settings = load_annotate_config(config)
    with StopSignals() as stop:
        with ProgressBar("annotating", quiet=quiet) as bar:
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
        values = outcome.values() | {"exit_code": code}
        write_results(values, out / REPORT, json_file)
        if not quiet:
            last = "stopped; continue with --resume" if outcome.stopped else f"project in {out}"
            print_lines([*outcome.lines(), last])
    return code
