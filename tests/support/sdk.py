"""The official Supervisely SDK, in a separate environment."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def sdk_python() -> str:
    """Return the SDK's Python, or skip the test (fail under REQUIRE_ALL) without it."""
    path = ROOT / ".venv-supervisely" / "bin" / "python"
    if not path.exists():
        reason = "the Supervisely SDK is not installed (make supervisely-sdk)"
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(path)


def run_sdk(code: str, *arguments: object) -> str:
    """Return the output of a program that may import supervisely."""
    command = [sdk_python(), "-W", "ignore", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
