"""The command `icstream run`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icstream.pipeline.cli.console import StopSignals, log_to_stderr, print_lines, write_results
from icstream.pipeline.cli.options import (
    Assignments,
    ConfigFile,
    DeviceSetting,
    JsonFile,
    OutDir,
    Overwrite,
    PrecisionSetting,
    Quiet,
    Replicas,
    ReplicaThreads,
    Resume,
    RuntimeSetting,
    Transport,
    Weights,
)

if TYPE_CHECKING:
    from icstream.pipeline.settings.run import RunConfig

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="Video file, image folder, glob, camera (0 or /dev/...) or URL; repeatable.",
    ),
]
Sinks = Annotated[
    list[str] | None,
    typer.Option(
        "--sink",
        metavar="NAME",
        # Spelled out because importing the sinks would slow down every command; a test compares.
        help="Result to write: masks, overlay, png, rle, areas, supervisely, rolling, events or"
        " publish; repeatable.",
    ),
]
Policy = Annotated[
    str | None, typer.Option(metavar="NAME", help="Frame policy: auto, every_frame or freshest.")
]
Loop = Annotated[int | None, typer.Option(metavar="N", help="Read each recording N times.")]
View = Annotated[bool, typer.Option("--view", help="Serve a live view of the run for browsers.")]
ViewAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of the live view (127.0.0.1:8787 by default); implies --view.",
    ),
]
ViewToken = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        envvar="ICSTREAM_VIEW_TOKEN",
        help="Access token of the live view; required unless the address is local.",
    ),
]
MetricsAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Serve Prometheus metrics and health checks at this address."
    ),
]


def run_command(
    out: OutDir,
    sources: Sources = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    weights: Weights = None,
    sinks: Sinks = None,
    device: DeviceSetting = None,
    runtime: RuntimeSetting = None,
    precision: PrecisionSetting = None,
    threads: ReplicaThreads = None,
    replicas: Replicas = None,
    transport: Transport = None,
    policy: Policy = None,
    loop: Loop = None,
    view: View = False,
    view_address: ViewAddress = None,
    view_token: ViewToken = None,
    metrics_address: MetricsAddress = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    json_file: JsonFile = None,
    quiet: Quiet = False,
) -> int:
    """Segment recordings or live streams into masks and overlays."""
    log_to_stderr(quiet=quiet)
    from icstream.pipeline.settings.run import load_config

    options = {
        "model.weights": weights,
        "model.device": device,
        "model.runtime": runtime,
        "model.precision": precision,
        "model.threads": threads,
        "pipeline.replicas": replicas,
        "pipeline.transport": transport,
        "pipeline.policy": policy,
        "decode.loop": loop,
        "output.sinks": sinks,
        "view.show": view or view_address is not None or None,
        "view.address": view_address,
        "view.token": view_token,
        "view.metrics_address": metrics_address,
        "output.overwrite": overwrite or None,
        "output.resume": resume or None,
    }
    settings = load_config(config, assignments or (), options)
    return _run(settings, sources or (), out, json_file=json_file, quiet=quiet)


def _run(
    settings: "RunConfig",
    sources: Sequence[str],
    out: Path,
    *,
    json_file: Path | None,
    quiet: bool,
) -> int:
    from icstream.pipeline.cli.run_progress import RunProgress
    from icstream.pipeline.output import REPORT
    from icstream.pipeline.run.prepare import prepare_run
    from icstream.pipeline.run.report import build_report, summarize
    from icstream.pipeline.run.run import launch

    with StopSignals() as stop, prepare_run(settings, sources, out) as prepared:
        with prepared.space_for_report(), RunProgress(quiet=quiet) as progress:
            result = launch(prepared, progress=progress, should_stop=stop.received)
        code = stop.exit_code() or result.exit_code
        values = build_report(result, exit_code=code)
        write_results(values, out / REPORT, json_file)
        if not quiet:
            print_lines([*summarize(result), f"results in {out}"])
    return code
