"""The program `icstream`, also run as `python -m icstream.pipeline`."""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line of this process, and end the process with its exit code."""
    # Nothing needs closing while the commands are being loaded.
    signal.signal(signal.SIGINT, _end_at_once)
    from icstream.pipeline.cli import main as command_line

    command_line.main()


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
