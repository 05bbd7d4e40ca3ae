"""`icstream serve`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from icstream.model.errors import ConfigError
from icstream.pipeline.cli.console import StopSignals, log_to_stderr
from icstream.pipeline.cli.options import DeviceSetting, PrecisionSetting, RuntimeSetting

_PACKAGES = ("fastapi", "fastapi_offline", "prometheus_client", "python_multipart", "uvicorn")


def serve(
    config: Annotated[
        str | None,
        typer.Option("-c", "--config", metavar="FILE|NAME", help="YAML settings, or ready-made."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, as section.key=value."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE|NAME",
            help="Checkpoint, a shipped name, or random; repeatable, each with the name to serve.",
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen; 127.0.0.1 by default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="5000 by default; 0 is any free one.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Holds the token that clients must show."),
    ] = None,
    without_token: Annotated[
        bool, typer.Option("--without-token", help="Let everybody in who reaches the port.")
    ] = False,
    runtime: RuntimeSetting = None,
    device: DeviceSetting = None,
    precision: PrecisionSetting = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Threads of each worker.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Requests that are worked on at once.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what went wrong.")] = False,
) -> int:
    """Answer requests over HTTP: images in, masks out."""
    log_to_stderr(quiet)
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"icstream serve needs {', '.join(missing)}: pip install 'icstream[serve]'"
        )
    from icstream.pipeline.serve.server import run_service
    from icstream.pipeline.settings.serve import load_serve_config

    settings = load_serve_config(
        config,
        assignments or (),
        {
            "server.host": host,
            "server.port": port,
            "server.token_file": token_file and str(token_file),
            "server.without_token": without_token or None,
            "model.runtime": runtime,
            "model.device": device,
            "model.precision": precision,
            "model.threads": threads,
            "model.workers": workers,
        },
        weights=weights or (),
    )
    stop = StopSignals()
    run_service(settings, should_stop=stop.received)
    return stop.exit_code()
