"""The official Supervisely SDK, in an environment of its own."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def sdk_python() -> str:
    """Gives its Python; skips, or fails under REQUIRE_ALL, where it is not installed."""
    path = ROOT / ".venv-supervisely" / "bin" / "python"
    if not path.exists():
        reason = "the Supervisely SDK is not installed (make supervisely-sdk)"
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(path)


def run_sdk(code: str, *arguments: object) -> str:
    """Gives what a program printed that may import supervisely."""
    command = [sdk_python(), "-W", "ignore", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
