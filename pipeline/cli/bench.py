"""The command `icstream bench`."""

from typing import Annotated

import typer

from icstream.pipeline.cli.console import log_to_stderr, print_lines, write_results
from icstream.pipeline.cli.options import (
    JsonFile,
    PrecisionSetting,
    Replicas,
    ReplicaThreads,
    Transport,
    Weights,
)

Recording = Annotated[str, typer.Argument(metavar="SOURCE", help="Video file.")]
NumFrames = Annotated[
    int, typer.Option("--frames", metavar="N", min=10, help="Number of frames per round.")
]
Rounds = Annotated[int, typer.Option(metavar="N", min=1, help="Number of rounds.")]


def bench_command(
    source: Recording,
    weights: Weights = None,
    precision: PrecisionSetting = None,
    threads: ReplicaThreads = None,
    replicas: Replicas = None,
    transport: Transport = None,
    num_frames: NumFrames = 100,
    rounds: Rounds = 3,
    json_file: JsonFile = None,
) -> int:
    """Measure the speed of the network and of the whole pipeline."""
    log_to_stderr(quiet=True)
    from icstream.pipeline.diagnostics.bench import measure_speed
    from icstream.pipeline.settings.run import load_config

    options = {
        "model.weights": weights,
        "model.precision": precision,
        "model.threads": threads,
        "pipeline.replicas": replicas,
        "pipeline.transport": transport,
        "output.sinks": ["masks"],
    }
    config = load_config(None, (), options)
    result = measure_speed(config, source, num_frames=num_frames, rounds=rounds)
    write_results(result.values(), json_file)
    print_lines(result.lines())
    return 0
