"""Calls of the command line, in a separate process or in this one."""

import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import torch

from icstream.pipeline.cli.main import run_cli

COMMAND = [sys.executable, "-m", "icstream.pipeline"]
RUN_STREETS = [*COMMAND, "run", "--weights", "streets"]


def icstream(
    *arguments: object, timeout_s: float = 180, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does, with additional environment variables."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, **environment},
    )


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which has already imported all libraries.

    Output of C libraries is not captured.
    """
    words = [str(argument) for argument in arguments]
    num_threads = torch.get_num_threads()
    stdout, stderr = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = run_cli(words)
    finally:
        torch.set_num_threads(num_threads)
    return subprocess.CompletedProcess(words, code, stdout.getvalue(), stderr.getvalue())


def error_line(done: subprocess.CompletedProcess[str], *, after_log: bool = False) -> str:
    """Return the single error line of a command that printed nothing else.

    Args:
        done: The completed command.
        after_log: Whether log lines, or warnings about deprecated names, may precede it.
    """
    assert done.stdout == ""
    *logged, line = done.stderr.splitlines()
    assert line.startswith("icstream: ")
    assert after_log or not logged
    a_log_line = r"[0-9 :,-]+ INFO |icstream: warning: .* is now called "
    assert all(re.match(a_log_line, entry) for entry in logged)
    return line
