"""The program `icstream`: its commands, and the exit codes of its errors.

Commands import what they need when they run, so that `--help` does not load PyTorch.
"""

import signal
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer
from typer.exceptions import TyperException

from icstream.model.errors import IcstreamError
from icstream.model.shown import printable
from icstream.pipeline.cli.annotate import annotate_command
from icstream.pipeline.cli.bench import bench_command
from icstream.pipeline.cli.config import config_app
from icstream.pipeline.cli.console import logging_restored, renamed_command
from icstream.pipeline.cli.convert import convert_command
from icstream.pipeline.cli.data import data_app
from icstream.pipeline.cli.demo import demo_command
from icstream.pipeline.cli.doctor import doctor_command
from icstream.pipeline.cli.evaluate import evaluate_command
from icstream.pipeline.cli.export import export_command
from icstream.pipeline.cli.quantize import quantize_command
from icstream.pipeline.cli.run import run_command
from icstream.pipeline.cli.serve import serve_command
from icstream.pipeline.cli.standard_streams import end_at_once, guard_standard_streams
from icstream.pipeline.cli.train import train_command

app = typer.Typer(
    help="Segment video: a class for every pixel of every frame, with exact timestamps.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"icstream {version('icstream')}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Segment video: a class for every pixel of every frame, with exact timestamps."""


app.command("run")(run_command)
app.command("demo")(demo_command)
app.command("bench")(bench_command)
app.command("doctor")(doctor_command)
app.command("train")(train_command)
app.command("evaluate")(evaluate_command)
app.command("annotate")(annotate_command)
app.command("convert")(convert_command)
app.command("export")(export_command)
app.command("quantize")(quantize_command)
app.command("quantise", hidden=True, epilog="icstream quantise is now called icstream quantize.")(
    renamed_command(quantize_command, "quantise", "quantize")
)
app.command("serve")(serve_command)
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")


def main() -> None:
    """Run the command line of this process, and end the process with its exit code."""
    guard_standard_streams()
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = run_cli(sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # before the first command or after the last
        code = 130
    except Exception:
        traceback.print_exc()
        code = 1
    # Everything is closed; waiting for thread pools of libraries has been seen to hang.
    end_at_once(code)


def run_cli(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an expected error becomes one line.

    Args:
        arguments: the command-line arguments without the program's name.

    Returns:
        One of the exit codes listed in the README.
    """
    with logging_restored():
        try:
            code: int | None = app(list(arguments), prog_name="icstream", standalone_mode=False)
        except TyperException as error:
            _print_error(error.format_message())
            return 2
        except (typer.Abort, KeyboardInterrupt):
            return 130
        except IcstreamError as error:
            _print_error(str(error))
            return 2
        except OSError as error:
            _print_error(f"{error.filename or 'input or output'}: {error.strerror or error}")
            return 1
    return code or 0


def _print_error(text: str) -> None:
    if text.startswith("Usage:"):  # no command was given, so help is the answer
        print(text, file=sys.stderr)
        return
    print(f"icstream: {printable(' '.join(text.split()))}", file=sys.stderr)
