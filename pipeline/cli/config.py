"""The command `icstream config`, which shows what can be set."""

import json
from typing import Annotated, Literal

import typer

config_app = typer.Typer(
    help="Inspect the configuration.", rich_markup_mode=None, no_args_is_help=True
)

Command = Annotated[
    Literal["run", "train", "annotate", "serve"],
    typer.Option(
        "--of", metavar="COMMAND", help="Command to describe: run, train, annotate or serve."
    ),
]


@config_app.callback()
def _config() -> None:
    """Inspect the configuration."""


@config_app.command("schema")
def schema_command(command: Command = "run") -> None:
    """Print the JSON schema of a command's settings."""
    if command == "train":
        from icstream.pipeline.settings.train import TrainConfig

        schema = TrainConfig.model_json_schema()
    elif command == "annotate":
        from icstream.pipeline.settings.annotate import AnnotateConfig

        schema = AnnotateConfig.model_json_schema()
    elif command == "serve":
        from icstream.pipeline.settings.serve import ServeConfig

        schema = ServeConfig.model_json_schema()
    else:
        from icstream.pipeline.settings.run import RunConfig

        schema = RunConfig.model_json_schema()
    print(json.dumps(schema, indent=2))
