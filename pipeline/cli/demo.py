"""The command `icstream demo`."""

from pathlib import Path

from icstream.pipeline.cli.console import StopSignals, log_to_stderr, print_lines, write_results
from icstream.pipeline.cli.options import JsonFile, OutDir, Overwrite


def demo_command(
    out: OutDir = Path("demo"), overwrite: Overwrite = False, json_file: JsonFile = None
) -> int:
    """Segment a rendered clip and compare the masks with the truth."""
    log_to_stderr(quiet=False)
    from icstream.pipeline.cli.run_progress import RunProgress
    from icstream.pipeline.diagnostics.demo import run_demo

    with StopSignals() as stop:
        with RunProgress() as progress:
            result = run_demo(
                out, overwrite=overwrite, progress=progress, should_stop=stop.received
            )
        if stop.exit_code():
            return stop.exit_code()
    write_results(result.values(), json_file)
    print_lines(result.lines())
    return result.exit_code
