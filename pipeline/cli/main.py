"""The command line: parses, calls, and turns expected errors into one line and an exit code."""

import json
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from icstream.model.errors import IcstreamError
from icstream.pipeline.cli.annotate import annotate
from icstream.pipeline.cli.console import StopSignals, hand_on, log_to_stderr
from icstream.pipeline.cli.convert import convert
from icstream.pipeline.cli.data import data_app
from icstream.pipeline.cli.evaluate import evaluate
from icstream.pipeline.cli.export import export
from icstream.pipeline.cli.options import (
    DeviceSetting,
    PrecisionSetting,
    Replicas,
    ReplicaThreads,
    RuntimeSetting,
    Transport,
    Weights,
)
from icstream.pipeline.cli.quantize import quantize
from icstream.pipeline.cli.serve import serve
from icstream.pipeline.cli.train import train

# Commands import what they need when they run, so that --help need not wait for PyTorch.

log = logging.getLogger(__name__)

app = typer.Typer(
    help="Segment recordings: every pixel of every frame gets its class, at its exact time.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Runs the command line; the process ends with the codes that the README lists."""
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        _complain(error.format_message())
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except IcstreamError as error:
        _complain(str(error))
        code = 2
    except OSError as error:
        _complain(f"{error.filename or 'input or output'}: {error.strerror or error}")
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed; thread pools of libraries have been seen to hang if they are waited for.
    os._exit(code or 0)


def _complain(text: str) -> None:
    if text.startswith("Usage:"):  # nothing was asked for, and help is the answer
        print(text, file=sys.stderr)
        return
    print(f"icstream: {' '.join(text.split())}", file=sys.stderr)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"icstream {version('icstream')}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Segment recordings: every pixel of every frame gets its class, at its exact time."""


@app.command()
def run(
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for the results.")
    ],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE", help="Video files, image folders, globs, cameras (0, /dev/...), URLs."
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("-c", "--config", metavar="FILE|NAME", help="YAML settings, or ready-made."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, as section.key=value."),
    ] = None,
    weights: Weights = None,
    sinks: Annotated[
        list[str] | None,
        typer.Option(
            "--sink",
            metavar="NAME",
            help="masks, overlay, png, rle, areas, supervisely, rolling, events or publish;"
            " repeatable.",
        ),
    ] = None,
    device: DeviceSetting = None,
    runtime: RuntimeSetting = None,
    precision: PrecisionSetting = None,
    threads: ReplicaThreads = None,
    replicas: Replicas = None,
    transport: Transport = None,
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="auto, every_frame or freshest.")
    ] = None,
    loop: Annotated[int | None, typer.Option(metavar="N", help="Read each source N times.")] = None,
    view: Annotated[bool, typer.Option("--view", help="Show the run in a browser.")] = False,
    view_address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where; default 127.0.0.1:8787.")
    ] = None,
    view_token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="ICSTREAM_VIEW_TOKEN",
            help="What those who look must know; needed beyond this machine.",
        ),
    ] = None,
    metrics_address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve figures for Prometheus.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier run's results.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was interrupted.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the report here too; - for stdout."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what went wrong.")] = False,
) -> int:
    """Segment recordings and write masks, overlays and a report into a folder."""
    log_to_stderr(quiet)
    from icstream.pipeline.cli.run_progress import open_progress
    from icstream.pipeline.output import REPORT, write_json
    from icstream.pipeline.run import report as reports
    from icstream.pipeline.run.run import run as run_all
    from icstream.pipeline.settings.run import load_config

    settings = load_config(
        config,
        assignments or (),
        {
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
        },
    )
    stop = StopSignals()
    with open_progress(quiet=quiet) as progress:
        result = run_all(settings, sources or (), out, progress=progress, should_stop=stop.received)
    code = stop.exit_code() or result.exit_code
    if not quiet:
        for line in [*reports.summary(result), f"results in {out}"]:
            print(line, file=sys.stderr)
    values = reports.build_report(result, exit_code=code)
    write_json(values, out / REPORT)
    hand_on(values, json_file)
    return code


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for the results.")
    ] = Path("demo"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier demo.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures here; - for stdout."),
    ] = None,
) -> int:
    """Run everything on a street clip that it renders itself, and compare with the truth."""
    log_to_stderr(quiet=False)
    from icstream.pipeline.cli.run_progress import open_progress
    from icstream.pipeline.diagnostics.demo import run_demo

    stop = StopSignals()
    with open_progress(quiet=False) as progress:
        figures = run_demo(out, overwrite=overwrite, progress=progress, should_stop=stop.received)
    if stop.exit_code():
        return stop.exit_code()
    for line in figures.lines():
        print(line, file=sys.stderr)
    hand_on(figures.values(), json_file)
    return figures.exit_code


@app.command()
def bench(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A video file.")],
    weights: Weights = None,
    precision: PrecisionSetting = None,
    threads: ReplicaThreads = None,
    replicas: Replicas = None,
    transport: Transport = None,
    num_frames: Annotated[
        int, typer.Option("--frames", metavar="N", min=10, help="Frames per round.")
    ] = 100,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds.")] = 3,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures here; - for stdout."),
    ] = None,
) -> int:
    """Measure the speed of the network and of the whole, as ratios within one run."""
    log_to_stderr(quiet=True)
    from icstream.pipeline.diagnostics.bench import bench as measure
    from icstream.pipeline.settings.run import load_config

    options = {
        "model.weights": weights,
        "model.precision": precision,
        "model.threads": threads,
        "pipeline.replicas": replicas,
        "pipeline.transport": transport,
        "output.sinks": ["masks"],
    }
    figures = measure(load_config(None, (), options), source, num_frames=num_frames, rounds=rounds)
    for line in figures.lines():
        print(line, file=sys.stderr)
    hand_on(figures.values(), json_file)
    return 0


@app.command()
def doctor(
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the findings here; - for stdout."),
    ] = None,
) -> int:
    """Check that this machine has what icstream needs, and say what it has."""
    from icstream.pipeline.diagnostics.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding.line(), file=sys.stderr)
    hand_on({finding.name: finding.values() for finding in findings}, json_file)
    return 0 if all(finding.ok for finding in findings) else 1


config_app = typer.Typer(help="About settings.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")
app.command()(train)
app.command()(evaluate)
app.command()(annotate)
app.command()(convert)
app.command()(export)
app.command()(quantize)
app.command()(serve)


@config_app.callback()
def _config() -> None:
    """About settings."""


@config_app.command()
def schema(
    of: Annotated[
        Literal["run", "train", "annotate", "serve"],
        typer.Option(metavar="COMMAND", help="run, train, annotate or serve."),
    ] = "run",
) -> None:
    """Print the JSON schema of a command's settings."""
    if of == "train":
        from icstream.pipeline.settings.train import TrainConfig

        values = TrainConfig.model_json_schema()
    elif of == "annotate":
        from icstream.pipeline.settings.annotate import AnnotateConfig

        values = AnnotateConfig.model_json_schema()
    elif of == "serve":
        from icstream.pipeline.settings.serve import ServeConfig

        values = ServeConfig.model_json_schema()
    else:
        from icstream.pipeline.settings.run import RunConfig

        values = RunConfig.model_json_schema()
    print(json.dumps(values, indent=2))
