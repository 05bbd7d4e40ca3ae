"""The command `icstream serve`."""

from pathlib import Path
from typing import Annotated

import typer

from icstream.model.packages import check_installed, requirements
from icstream.pipeline.cli.console import StopSignals, log_to_stderr
from icstream.pipeline.cli.options import (
    Assignments,
    ConfigFile,
    DeviceSetting,
    PrecisionSetting,
    Quiet,
    RuntimeSetting,
)
from icstream.pipeline.cli.standard_streams import end_at_once

ServedWeights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]FILE|NAME",
        help="Checkpoint file, name of shipped weights, or random, served as NAME; repeatable.",
    ),
]
Host = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Address to listen on (127.0.0.1 by default)."),
]
Port = Annotated[
    int | None,
    typer.Option(metavar="N", help="Port to listen on (5000 by default); 0 picks a free port."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File with the access token; required unless the address is local."
    ),
]
WithoutToken = Annotated[
    bool, typer.Option("--without-token", help="Allow unauthenticated access.")
]
WorkerThreads = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="CPU threads per worker.")
]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Number of requests processed at the same time.")
]


def serve_command(
    config: ConfigFile = None,
    assignments: Assignments = None,
    weights: ServedWeights = None,
    host: Host = None,
    port: Port = None,
    token_file: TokenFile = None,
    without_token: WithoutToken = False,
    runtime: RuntimeSetting = None,
    device: DeviceSetting = None,
    precision: PrecisionSetting = None,
    threads: WorkerThreads = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> int:
    """Serve the network over HTTP: images in, masks out."""
    log_to_stderr(quiet=quiet)
    check_installed(requirements("serve"), extra="serve", needed_by="icstream serve")
    from icstream.pipeline.serve.server import run_service
    from icstream.pipeline.settings.serve import load_serve_config

    options = {
        "server.host": host,
        "server.port": port,
        "server.token_file": token_file and str(token_file),
        "server.without_token": without_token or None,
        "model.runtime": runtime,
        "model.device": device,
        "model.precision": precision,
        "model.threads": threads,
        "model.workers": workers,
    }
    settings = load_serve_config(config, assignments or (), options, weights=weights or ())
    with StopSignals() as stop:
        ended = run_service(settings, should_stop=stop.received)
    if not ended:
        end_at_once(stop.exit_code())
    return stop.exit_code()
